"""Messages between two processes: a little-endian 4-byte length, followed by that many bytes."""

from __future__ import annotations

import socket
import time
from struct import Struct

_LENGTH = Struct("<I")


class Channel:
    """One end of a connected socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(self, message: bytes | memoryview, *, deadline: float | None = None) -> None:
        """Send a message of less than 4 GiB.

        Args:
            message: Bytes of the message.
            deadline: Latest time by `time.monotonic`, in seconds; None for no limit.

        Raises:
            TimeoutError: The deadline has passed.
            OSError: The other end is closed.
        """
        view = memoryview(message).cast("B")
        for part in (_LENGTH.pack(len(view)), view):
            self._wait_until(deadline)
            self._socket.sendall(part)

    def receive(self, *, most: int = (1 << 32) - 1, deadline: float | None = None) -> bytearray | None:
        """Wait for a message.

        Args:
            most: Maximum length in bytes; a longer message counts as closed.
            deadline: Latest time by `time.monotonic`, in seconds; None for no limit.

        Returns:
            The message; None if the other end is closed.

        Raises:
            TimeoutError: The deadline has passed.
        """
        head = self._read(_LENGTH.size, deadline)
        length = most + 1 if head is None else _LENGTH.unpack(head)[0]
        return None if length > most else self._read(length, deadline)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _read(self, length: int, deadline: float | None) -> bytearray | None:
        content = bytearray(length)
        rest = memoryview(content)
        while rest:
            self._wait_until(deadline)
            try:
                count = self._socket.recv_into(rest)
            except ConnectionError:
                count = 0
            if count == 0:
                return None
            rest = rest[count:]
        return content

    def _wait_until(self, deadline: float | None) -> None:
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)
