"""Limits on what clients may send and how fast."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import asdict, dataclass

from edge_runtime.errors import ServerError


@dataclass(frozen=True)
class Limits:
    """Limits of the server. A client is an IPv4 address or an IPv6 /64 network; all clients behind a proxy are one.

    Attributes:
        max_bytes: Maximum size of an uploaded picture in bytes.
        max_pixels: Maximum height × width of an uploaded picture.
        max_uploads: Maximum simultaneous uploads, which are held in memory; one client may have half of them.
        max_viewers: Maximum simultaneous streams of pictures and events; one page uses two.
        max_connections: Maximum open connections.
        max_client_connections: Maximum open connections of one client.
        max_rate: Maximum requests per second from one client; bursts may have twice as many.
        header_timeout_s: Seconds for the request headers to arrive, from the connection or the previous response.
        body_timeout_s: Seconds for the request body to arrive.
        send_timeout_s: Seconds for a client to read pending data, at most about 64 KiB and one picture.

    Raises:
        ServerError: A limit is not above 0.
    """

    max_bytes: int = 8 * 1024**2
    max_pixels: int = 40_000_000
    max_uploads: int = 16
    max_viewers: int = 64
    max_connections: int = 256
    max_client_connections: int = 32
    max_rate: float = 100.0
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    send_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value < float("inf"):
                raise ServerError(f"{name} must be a finite number above 0, got {value}.")


_NETWORK_BITS = 64  # of an IPv6 address; a client chooses the other bits freely (RFC 4291, section 2.5.4)


def client_of(host: str) -> str:
    """Return the client at an address: the IPv4 address, the IPv6 network, or any other text unchanged."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> _NETWORK_BITS << _NETWORK_BITS, _NETWORK_BITS)))


_CLIENTS = 4096  # maximum remembered; per-client limits don't stop anyone with more addresses


class RateLimiter:
    """Token bucket per client, by the generic cell rate algorithm (ITU-T I.371, annex A).

    Args:
        rate: Requests per second.
        burst: Maximum requests at once after a pause.
    """

    def __init__(self, rate: float, *, burst: float) -> None:
        self._period_s = 1 / rate
        self._slack_s = max(burst - 1, 0) / rate
        self._due: OrderedDict[str, float] = OrderedDict()  # time of the next request at the nominal rate

    def __len__(self) -> int:
        """Return the number of remembered clients."""
        return len(self._due)

    def wait_s(self, client: str, now: float) -> float:
        """Count a request and return 0 if it may pass, else the seconds to wait.

        Args:
            client: Client that sends the request.
            now: Monotonic time in seconds.
        """
        due = max(self._due.pop(client, now), now)
        wait_s = max(due - now - self._slack_s, 0.0)
        self._due[client] = due if wait_s else due + self._period_s
        if len(self._due) > _CLIENTS:
            self._due.popitem(last=False)
        return wait_s
