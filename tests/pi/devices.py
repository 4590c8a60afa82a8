"""The devices that are emulated: each Debian that Raspberry Pi OS follows, and thereby each interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.pi import machine
from tests.pi.debian import Release
from tests.pi.device import Device, make_device
from tests.support.wheel import ROOT

RELEASES = (
    Release("bookworm", "3.11", (*machine.PACKAGES, "v4l-utils")),  # Debian 12, with what test_v4l2_camera.py boots
    Release("trixie", "3.13"),  # Debian 13
)
_CACHE = ROOT / "build" / "pi"


@contextmanager
def make_devices(wheel: Path) -> Iterator[Mapping[str, Future[Device]]]:
    """By release. They are made side by side, and waited for by whoever needs one."""
    _CACHE.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(len(RELEASES)) as pool:
        yield {release.name: pool.submit(make_device, release, wheel, _CACHE) for release in RELEASES}
