"""How much the server takes, from one client and from all."""

from __future__ import annotations

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
