"""Who is connected, and who was turned away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.responses import JSONResponse

REASONS = ("connections", "rate", "token", "foreign", "malformed", "slow")
"""Why requests and connections are turned away before the application sees them: too many connections, too many
requests a second, a missing or wrong token, another site's page or another host name, no HTTP, too slow."""


@dataclass
class Traffic:
    """What the server counts before the application sees anything.

    Attributes:
        connections: That are open, by client.
        refused: How many were turned away, by reason.
    """

    connections: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(REASONS, 0)))

    def enter(self, client: str, *, most: int, most_of_client: int) -> bool:
        """Counts a connection, where there is room for it; whether there was."""
        if self.connections.total() >= most or self.connections[client] >= most_of_client:
            return False
        self.connections[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Counts a connection's end."""
        self.connections[client] -= 1
        if not self.connections[client]:
            del self.connections[client]


SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",  # an address may hold the token
    "x-content-type-options": "nosniff",
}


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to what is refused, in the one shape that all of them have."""
    return JSONResponse({"detail": detail}, status, headers=headers)
