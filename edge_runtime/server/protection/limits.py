"""How much the server takes, from one client and from all."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import asdict, dataclass

from edge_runtime.errors import ServerError


@dataclass(frozen=True)
class Limits:
    """What is refused. One client is an IPv4 address or an IPv6 network of 64 bits; so all behind a proxy are one.

    Attributes:
        max_bytes: Size of a picture that is sent in.
        max_pixels: Its height times its width.
        max_uploads: Pictures that are sent in at a time, from their first byte on: they lie in memory. One client may
            have half of them.
        max_viewers: Streams of pictures and of events at a time; a page takes two.
        max_connections: Open at a time.
        max_client_connections: Of them, one client's.
        max_rate: Requests a second of one client. After a pause, twice as many may come at once.
        header_timeout_s: In which a request's head must have come in, from the connection or the answer before it on.
        body_timeout_s: In which a request's body must have come in.
        send_timeout_s: In which a client must take what waits for it, at most about 64 KiB and one picture.

    Raises:
        ServerError: One isn't above 0.
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
                raise ServerError(f"Expected {name} above 0, got {value}: give a larger one.")


_NETWORK_BITS = 64  # of an IPv6 address: what is behind them, a client chooses as it likes (RFC 4291, section 2.5.4)


def client_of(host: str) -> str:
    """The client at an address: an IPv4 address or an IPv6 network; any other text is a client of its own."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> _NETWORK_BITS << _NETWORK_BITS, _NETWORK_BITS)))


_CLIENTS = 4096  # that are remembered; whoever has more addresses isn't held by a limit for each


class RateLimiter:
    """A token bucket for each client, as the generic cell rate algorithm counts it (ITU-T I.371, annex A).

    Args:
        rate: Requests a second.
        burst: Requests at once after a pause.
    """

    def __init__(self, rate: float, *, burst: float) -> None:
        self._period_s = 1 / rate
        self._slack_s = max(burst - 1, 0) / rate
        self._due: OrderedDict[str, float] = OrderedDict()  # when a client that keeps to the rate would ask next

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._due)

    def wait_s(self, client: str, now: float) -> float:
        """Counts a request; 0 where it may pass, or after how many seconds one may.

        Args:
            client: Who asks.
            now: In seconds, of a clock that never goes back.
        """
        due = max(self._due.pop(client, now), now)
        wait_s = max(due - now - self._slack_s, 0.0)
        self._due[client] = due if wait_s else due + self._period_s
        if len(self._due) > _CLIENTS:
            self._due.popitem(last=False)
        return wait_s
