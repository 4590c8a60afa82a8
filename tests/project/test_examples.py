"""The examples run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.ports import HOST

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}  # also where the package isn't installed
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def output(name: str, *arguments: object) -> str:
    done = run(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def video(path: Path, *, fps: float, frames: int) -> Path:
    """Green, red and green again, so many frames each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for color in ((60, 160, 60), (60, 60, 160), (60, 160, 60)):
        for _ in range(frames):
            writer.write(np.full((48, 64, 3), color, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A third of a second of each colour."""
    return video(tmp_path_factory.mktemp("clip") / "clip.avi", fps=30.0, frames=10)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of each colour."""
    return video(tmp_path_factory.mktemp("scene") / "scene.avi", fps=15.0, frames=30)


def test_classify_picture(tiny_int8: Path, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    cv2.imwrite(str(picture), np.full((48, 64, 3), (60, 60, 160), np.uint8))
    assert output("classify_picture.py", tiny_int8, picture).startswith("red: ")


def test_live_camera(tiny_int8: Path, clip: Path) -> None:
    lines = output("live_camera.py", tiny_int8, clip).splitlines()
    assert len(lines) > 10
    assert any(line.startswith("red ") for line in lines)
    assert any(line.startswith("green ") for line in lines)


def test_act_on_label(tiny_int8: Path, scene: Path) -> None:
    assert output("act_on_label.py", tiny_int8, "red", scene).count("red appeared") == 1
    assert output("act_on_label.py", tiny_int8, "green", scene).count("green appeared") == 2


def test_act_on_label_knows_its_labels(tiny_int8: Path, scene: Path) -> None:
    done = run("act_on_label.py", tiny_int8, "rot", scene)
    assert done.returncode == 1
    assert done.stderr.endswith("The model has no class rot to allow or deny. Its classes: blue, green, red.\n")


def test_counter(tiny_int8: Path, scene: Path) -> None:
    assert output("counter.py", tiny_int8, scene).splitlines() == ["green 1", "green 1, red 1", "green 2, red 1"]


def test_door_sign(tiny_int8: Path, scene: Path) -> None:
    lines = output("door_sign.py", tiny_int8, scene, "red=Please ring").splitlines()
    assert [line.strip("│ ") for line in lines if line.startswith("│")] == ["Welcome", "Please ring", "Welcome"]
    assert {len(line) for line in lines} == {42}


def test_gpio_led(tiny_int8: Path, scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    assert output("gpio_led.py", tiny_int8, "red", scene).splitlines() == ["LED on", "LED off"]


def test_mqtt_sensor(tiny_int8: Path, scene: Path, tmp_path: Path) -> None:
    with Mosquitto(tmp_path) as broker:
        broker.listen()
        output("mqtt_sensor.py", tiny_int8, f"mqtt://{HOST}:{broker.port}/door", scene)
        broker.wait_for("door/events", 7)
        broker.wait_for("door/availability", 2)
        entered = [event["label"] for event in broker.values("door/events") if event["kind"] == "entered"]
        assert entered == ["green", "red", "green"]
        assert broker.values("door/state")[-1]["label"] == "green"
        assert broker.texts("door/availability")[-1] == "offline"
