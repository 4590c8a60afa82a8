"""Tells systemd how the program is: started, at work, stopping (the ``sd_notify`` protocol, without a library).

systemd names a socket in ``NOTIFY_SOCKET`` and, where it is to watch, the time after which silence counts as hung in
``WATCHDOG_USEC``. Outside of such a unit, nothing is there and nothing is done.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


class Watchdog:
    """The line to systemd. `beat` is what ``edge_runtime.live(heartbeat=…)`` takes.

    It belongs to the thread that does the work: when that hangs, no more beats come, and systemd starts the program
    anew. Closing it says that the program is stopping.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Looks for systemd's socket.

        Args:
            environment: With ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``; None is this process's own.
        """
        environment = os.environ if environment is None else environment
        self._socket = _connected(environment.get("NOTIFY_SOCKET", ""))
        self.interval_s = None if self._socket is None else _interval_s(environment)
        """Between two beats that are sent: half of the time after which silence counts as hung; None where nobody
        watches."""
        self._due = float("-inf")

    @property
    def connected(self) -> bool:
        """Whether systemd listens."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Says that the program has started: what a unit of ``Type=notify`` waits for.

        Args:
            status: As in `status`.
        """
        self._send("READY=1" + _status(status))
        self.beat()

    def status(self, text: str) -> None:
        """Says what the program does, for ``systemctl status``: one line; of more, the first."""
        self._send(_status(text).lstrip("\n"))

    def beat(self) -> None:
        """Says that the program is at work; cheap, to be called as often as it turns."""
        if self.interval_s is None:
            return
        now = time.monotonic()
        # What couldn't be sent, since systemd has no time, is sent with the next beat.
        if now >= self._due and self._send("WATCHDOG=1"):
            self._due = now + self.interval_s

    def close(self) -> None:
        """Says that the program is stopping. Closing twice does nothing."""
        self._send("STOPPING=1")
        if self._socket is not None:
            self._socket.close()
        self._socket = self.interval_s = None

    def __enter__(self) -> Watchdog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, message: str) -> bool:
        if self._socket is None or not message:
            return False
        # A lost beat is followed by others, the rest is said once.
        self._socket.settimeout(0.0 if message == "WATCHDOG=1" else 1.0)
        try:
            self._socket.send(message.encode())
        except OSError:  # no one listens any more, or no one has time: the program's work goes on
            return False
        return True


def _connected(address: str) -> socket.socket | None:
    if not address.startswith(("/", "@")):  # others, such as vsock, are for virtual machines
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        # "@" stands for the zero byte that begins an abstract address.
        connection.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError:
        connection.close()
        return None
    return connection


def _interval_s(environment: Mapping[str, str]) -> float | None:
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for the program that started this one
    try:
        timeout_us = int(environment.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return timeout_us / 2e6 if timeout_us > 0 else None


def _status(text: str) -> str:
    """The message's line; empty for an empty text. A second line would be another message."""
    lines = text.strip().splitlines()
    return f"\nSTATUS={lines[0]}" if lines else ""
