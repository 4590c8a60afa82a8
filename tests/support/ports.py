"""Ports that stay free until the process that they are for takes them."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

HOST = "127.0.0.1"
_PORTS = range(20_000, 32_768)
"""Below those that Linux gives to connections going out (``ip_local_port_range``): one of the other tests' would
block a port of the system's own choice for a minute after its end."""


def free_ports(count: int) -> list[int]:
    """Ports at which nobody listens."""
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(_PORTS)
        with suppress(OSError), socket.create_server(("", port)):
            found.add(port)
    return list(found)
