"""Proofs on emulated hardware, by ``make test-pi``; a plain run of the tests leaves this folder out.

A proof is a file here. None is left out by itself: ``--skip-proof NAME=REASON`` does it, and the reason is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.pi.device import Device
from tests.pi.devices import make_devices

HERE = Path(__file__).parent


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
    """By release."""
    with make_devices(wheel) as devices:
        yield devices
