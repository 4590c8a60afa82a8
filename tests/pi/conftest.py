"""Proofs on emulated hardware, by ``make test-pi``; a plain run of the tests leaves this folder out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.pi.device import Device
from tests.pi.devices import make_devices


@pytest.fixture(scope="session")
def devices(wheel: Path) -> Iterator[Mapping[str, Future[Device]]]:
    """By release."""
    with make_devices(wheel) as devices:
        yield devices
