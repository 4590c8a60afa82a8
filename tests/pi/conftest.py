"""Proofs on emulated hardware, by ``make test-pi``; a plain run of the tests leaves this folder out.

A proof is a file here. None is left out by itself: ``--skip-proof NAME=REASON`` does it, and the reason is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.pi import machine
from tests.pi.debian import Release
from tests.pi.device import Device, make_device
from tests.wheel import ROOT

HERE = Path(__file__).parent
CACHE = ROOT / "build" / "pi"
RELEASES = (
    Release("bookworm", "3.11", (*machine.PACKAGES, "v4l-utils")),  # Debian 12, with what test_v4l2_camera.py boots
    Release("trixie", "3.13"),  # Debian 13
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--skip-proof", action="append", default=[], metavar="NAME=REASON", help="leave tests/pi/test_NAME.py out"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    proofs = sorted(path.stem.removeprefix("test_") for path in HERE.glob("test_*.py"))
    for given in config.getoption("--skip-proof"):
        name, _, reason = given.partition("=")
        if name not in proofs or not reason:
            raise pytest.UsageError(f"Expected NAME=REASON with NAME one of {', '.join(proofs)}, got {given!r}.")
        for item in items:
            if item.path == HERE / f"test_{name}.py":
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def devices(wheel: Path) -> Iterator[Mapping[str, Future[Device]]]:
    """By release. They are made side by side, and waited for by whoever needs one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(RELEASES)) as pool:
        yield {release.name: pool.submit(make_device, release, wheel, CACHE) for release in RELEASES}
