from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edge_runtime.device.systemd_notify import Watchdog


class Listener:
    """systemd's end of the socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def messages(self) -> list[str]:
        """What has come since it was last asked; on one machine, a message is there when it was sent."""
        found = []
        self._socket.setblocking(False)
        while True:
            try:
                found.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    name = f"@edge-runtime-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    found = Listener(name)
    yield found
    found.close()


def test_tells_a_whole_life(listener: Listener) -> None:
    with Watchdog({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "30000000"}) as watchdog:
        assert watchdog.connected
        assert watchdog.interval_s == 15
        watchdog.ready("camera /dev/video0")
        watchdog.status("door: open\nSTOPPING=1")
    watchdog.close()
    watchdog.beat()
    assert listener.messages() == [
        "READY=1\nSTATUS=camera /dev/video0",
        "WATCHDOG=1",
        "STATUS=door: open",
        "STOPPING=1",
    ]


def test_beats_at_half_of_the_time_however_often_it_is_called(listener: Listener) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "400000"})
    started = time.monotonic()
    calls = 0
    while time.monotonic() < started + 1.0:
        watchdog.beat()
        calls += 1
    beats = listener.messages()
    lasted_s = time.monotonic() - started
    watchdog.close()
    assert set(beats) == {"WATCHDOG=1"}
    assert 2 <= len(beats) <= lasted_s / 0.2 + 1 < calls


def test_a_beat_that_was_not_taken_comes_again(listener: Listener) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "60000000"})
    with ExitStack() as opened:
        sent = 1
        while sent:  # until one that has sent nothing yet can't: the listener's queue is full, not the sender's
            flood = opened.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            flood.setblocking(False)
            flood.connect("\0" + listener.address[1:] if listener.address.startswith("@") else listener.address)
            sent = 0
            with suppress(BlockingIOError):
                while True:
                    flood.send(b"busy")
                    sent += 1
    watchdog.beat()  # returns at once, though nobody reads
    assert set(listener.messages()) == {"busy"}
    watchdog.beat()
    assert listener.messages() == ["WATCHDOG=1"]
    watchdog.close()


def test_a_systemd_that_is_gone_stops_nothing(listener: Listener) -> None:
    watchdog = Watchdog({"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "2"})
    listener.close()
    watchdog.ready("here")
    watchdog.beat()
    watchdog.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "vsock:2:1234", "WATCHDOG_USEC": "1000000"},
        {"NOTIFY_SOCKET": "/nobody/listens", "WATCHDOG_USEC": "1000000"},
    ],
)
def test_outside_of_a_unit_nothing_is_done(environment: dict[str, str]) -> None:
    with Watchdog(environment) as watchdog:
        assert not watchdog.connected
        assert watchdog.interval_s is None
        watchdog.ready()
        watchdog.beat()


@pytest.mark.parametrize("watching", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_PID": "1"}])
def test_a_unit_that_does_not_watch_gets_no_beats(listener: Listener, watching: dict[str, str]) -> None:
    given = {"NOTIFY_SOCKET": listener.address, **({"WATCHDOG_USEC": "1000000"} if "WATCHDOG_PID" in watching else {})}
    with Watchdog({**given, **watching}) as watchdog:
        watchdog.ready()
        watchdog.beat()
    assert listener.messages() == ["READY=1", "STOPPING=1"]


def test_reads_what_systemd_gives_a_process(listener: Listener) -> None:
    code = (
        "from edge_runtime.device.systemd_notify import Watchdog\n"
        "with Watchdog() as w: w.ready('up'); w.beat(); w.beat()"
    )
    environment = {**os.environ, "NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "60000000"}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment)
    assert listener.messages() == ["READY=1\nSTATUS=up", "WATCHDOG=1", "STOPPING=1"]
