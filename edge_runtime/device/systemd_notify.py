"""Reports to systemd that the program has started, is working, or is stopping (the ``sd_notify`` protocol).

systemd names its socket in ``NOTIFY_SOCKET``, and the watchdog's timeout in ``WATCHDOG_USEC``. Outside of such a unit,
everything here does nothing.
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
    """Connection to systemd and its watchdog.

    Pass `beat` to ``edge_runtime.live(heartbeat=…)``: if the working thread hangs, the beats stop, and systemd restarts
    the program. Closing the watchdog reports that the program is stopping.

    Args:
        environment: Mapping with ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``; default: this process's
            environment.

    Attributes:
        interval_s: Seconds between two beats, half of the watchdog's timeout; None without a watchdog.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._socket = _connected(environment.get("NOTIFY_SOCKET", ""))
        self.interval_s = None if self._socket is None else _interval_s(environment)
        self._due = float("-inf")

    @property
    def connected(self) -> bool:
        """Whether systemd is listening."""
        return self._socket is not None

    def ready(self, status: str = "") -> None:
        """Report that the program has started, which a unit of ``Type=notify`` waits for.

        Args:
            status: Status to report as well; see `status`.
        """
        self._send("READY=1" + _status(status))
        self.beat()

    def status(self, text: str) -> None:
        """Report the first line of a text as the status that ``systemctl status`` shows."""
        self._send(_status(text).lstrip("\n"))

    def beat(self) -> None:
        """Report that the program is working. Cheap: call it in every turn of the loop."""
        if self.interval_s is None:
            return
        now = time.monotonic()
        # If systemd is too busy to receive it, the next call tries again.
        if now >= self._due and self._send("WATCHDOG=1"):
            self._due = now + self.interval_s

    def close(self) -> None:
        """Report that the program is stopping. Closing twice has no effect."""
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
        # A lost beat is followed by others; the other messages are sent only once, so wait for them.
        self._socket.settimeout(0.0 if message == "WATCHDOG=1" else 1.0)
        try:
            self._socket.send(message.encode())
        except OSError:  # nobody receives: this must not stop the program's work
            return False
        return True


def _connected(address: str) -> socket.socket | None:
    if not address.startswith(("/", "@")):  # other kinds, such as vsock, are for virtual machines
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
    """Return the text's first line as a message; a second line would be a message of its own."""
    lines = text.strip().splitlines()
    return f"\nSTATUS={lines[0]}" if lines else ""
