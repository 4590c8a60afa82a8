"""The server's page in a real browser, at a desk and on a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import pytest

from tests.support.serving import PATIENCE_S, Server, camera_with_a_switch, clip_of_all_classes, serving
from tests.support.tiny import LABELS, picture
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

TOKEN = "a token of some length"
DESK, PHONE = (1280, 860), (390, 844)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        pytest.skip("needs Chromium and its driver: apt install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(PATIENCE_S)
    yield opened
    opened.quit()


class Page:
    """What stands in the browser."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def open(self, address: str, size: tuple[int, int] = DESK, *, theme: str = "light") -> None:
        width, height = size
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        feature = {"name": "prefers-color-scheme", "value": theme}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        self.browser.get_log("browser")  # what an earlier page complained of
        self.browser.get(address)

    def run(self, script: str) -> Any:
        return self.browser.execute_script(script)

    def text(self, name: str) -> str:
        return str(self.run(f"return document.getElementById('{name}').innerText"))

    def visible(self, name: str) -> bool:
        return bool(self.run(f"return document.getElementById('{name}').checkVisibility()"))

    def find(self, name: str) -> Any:
        return self.browser.find_element("id", name)

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(chromium: Any) -> Iterator[Page]:
    opened = Page(chromium)
    yield opened
    opened.open("about:blank")  # leaves the server


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module")
def showing(tiny_int8: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    clip = clip_of_all_classes(tmp_path_factory.mktemp("clip") / "classes.avi")
    with serving(tiny_int8, "--source", clip, "--collect", photos) as server:
        yield server


def seen_over_time(look: Callable[[], str], count: int) -> set[str]:
    """What is seen until so many different things were."""
    seen: set[str] = set()

    def is_enough() -> bool:
        seen.add(look())
        return len(seen) >= count

    wait_until(is_enough)
    return seen


# The picture as it stands on the page, as a number: whether it moves can't be told otherwise.
_PIXELS = """
const image = document.getElementById("picture");
const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
const context = canvas.getContext("2d");
context.drawImage(image, 0, 0, 64, 48);
const { data } = context.getImageData(0, 0, 64, 48);
return image.naturalWidth + ":" + data.reduce((sum, value, index) => sum + value * index, 0);
"""


@pytest.mark.parametrize(("size", "theme"), [(DESK, "light"), (PHONE, "dark")])
def test_shows_a_moving_picture_with_what_is_in_it(
    page: Page, showing: Server, size: tuple[int, int], theme: str
) -> None:
    page.open(showing.address, size, theme=theme)
    wait_until(lambda: page.text("state") == "live")
    wait_until(lambda: page.run("return document.getElementById('picture').naturalWidth") == 640)
    assert all(pixels.startswith("640:") for pixels in seen_over_time(lambda: page.run(_PIXELS), 5))
    wait_until(lambda: page.text("label") in LABELS)
    assert len(seen_over_time(lambda: page.text("label"), 2)) >= 2
    assert "fps" in page.text("rate")
    assert page.run("return document.querySelectorAll('#scores .bar').length") == 3
    wait_until(lambda: page.run("return document.querySelectorAll('#event-list time').length") >= 3)
    for chart in ("chart-fps", "chart-latency"):
        path = f"return document.querySelector('#{chart} .curve').getAttribute('d').length"
        wait_until(lambda path=path: page.run(path) > 40)
    width = page.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] == width[1] <= size[0]
    dark = page.run("return getComputedStyle(document.body).backgroundColor") != "rgb(244, 245, 247)"
    assert dark == (theme == "dark")
    assert page.complaints() == []


def test_needs_nothing_from_elsewhere(page: Page, showing: Server) -> None:
    for path in ("", "docs"):
        page.open(showing.address + path)
        wait_until(lambda: page.run("return performance.getEntriesByType('resource').length") >= 3)
        names = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
        assert [name for name in names if not name.startswith((showing.address, "data:"))] == []
        assert page.complaints() == []


def test_documents_the_api(page: Page, showing: Server) -> None:
    page.open(f"{showing.address}docs")
    wait_until(lambda: page.run("return document.querySelectorAll('article').length") >= 8)
    for words in ("/predict", "/stream.mjpg", "curl -F file=@picture.jpg", "Over 8,388,608 bytes"):
        assert words in page.text("operations")
    assert page.complaints() == []


def test_collects_while_the_button_is_held(page: Page, showing: Server, photos: Path) -> None:
    from selenium.webdriver import ActionChains

    page.open(showing.address, PHONE)
    wait_until(lambda: page.visible("collect"))
    button = page.find("hold")
    button.click()
    wait_until(lambda: page.text("collect-note") == "Enter a class name first.")
    page.find("class-name").send_keys("../up")
    button.click()
    wait_until(lambda: page.text("collect-note").startswith("Invalid class name"))
    page.find("class-name").clear()
    page.find("class-name").send_keys("cup")
    page.complaints()  # the browser's own line about that answer
    ActionChains(page.browser).click_and_hold(button).perform()
    wait_until(lambda: len(list(photos.glob("cup/*.jpg"))) >= 2)
    assert button.text == "Collecting…"
    ActionChains(page.browser).release().perform()
    wait_until(lambda: button.text == "Hold to collect")
    wait_until(lambda: "cup" in page.text("counts"))
    assert [path.name for path in photos.iterdir()] == ["cup"]
    assert page.complaints() == []


def test_classifies_a_file(page: Page, showing: Server, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "green.png"), picture("green")[:, :, ::-1])
    (tmp_path / "text.png").write_text("no picture")
    page.open(showing.address)
    wait_until(lambda: page.visible("ask"))
    page.find("file").send_keys(str(tmp_path / "green.png"))
    wait_until(lambda: page.text("answer-scores").startswith("green"))
    assert page.text("answer").startswith("64×48, ")
    page.find("file").send_keys(str(tmp_path / "text.png"))
    wait_until(
        lambda: page.text("answer") == "The file is not a JPEG, PNG, WebP or BMP picture. Convert it to one of these."
    )


def test_says_when_the_camera_is_away_and_goes_on_when_it_is_back(page: Page, tiny_int8: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), cv2.resize(picture("red")[:, :, ::-1], (640, 480)))
    away = tmp_path / "away"
    with camera_with_a_switch(tiny_int8, tmp_path / "red.png", away) as server:
        page.open(server.address, PHONE)
        wait_until(lambda: page.text("state") == "live")
        assert not page.visible("away")
        away.touch()
        wait_until(lambda: page.visible("away"))
        assert page.text("away").startswith("No camera signal")
        assert page.text("state") == "no signal"
        assert page.run("return getComputedStyle(document.getElementById('over')).visibility") == "hidden"
        away.unlink()
        wait_until(lambda: not page.visible("away"))
        seen_over_time(lambda: page.run(_PIXELS), 2)
        server.stop()
        wait_until(lambda: page.text("state") == "disconnected")
        assert page.text("away").startswith("Server unreachable")


def test_asks_for_the_token_and_keeps_it_out_of_sight(page: Page, tiny_int8: Path) -> None:
    env = {**os.environ, "EDGE_RUNTIME_TOKEN": TOKEN}
    with serving(tiny_int8, "--source", "synthetic", env=env) as server:
        page.open(server.address)
        wait_until(lambda: page.visible("sign-in"))
        assert page.text("state") == "token required"
        page.find("token").send_keys("wrong")
        page.find("token").submit()
        wait_until(lambda: page.text("sign-in-error") == "Wrong token.")
        page.find("token").clear()
        page.find("token").send_keys(TOKEN)
        page.find("token").submit()
        wait_until(lambda: page.text("state") == "live")
        seen_over_time(lambda: page.run(_PIXELS), 3)
        page.run("sessionStorage.clear()")
        page.open(str(httpx.URL(server.address, params={"token": TOKEN})))
        wait_until(lambda: page.text("state") == "live")
        assert page.run("return location.href") == server.address
        assert not page.visible("sign-in")
