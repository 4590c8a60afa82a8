"""Counters of connections and refused requests, and the form of a refusal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.responses import JSONResponse

REASONS = ("connections", "rate", "token", "foreign", "malformed", "slow")
"""Why requests and connections are refused before the application sees them: too many connections, too many requests
per second, missing or wrong token, another site or host name, invalid HTTP, too slow."""


@dataclass
class Traffic:
    """Counters of what happens before a request reaches the application.

    Attributes:
        connections: Number of open connections by client.
        refused: Number of refused requests and connections by reason.
    """

    connections: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(REASONS, 0)))

    def enter(self, client: str, *, most: int, most_of_client: int) -> bool:
        """Count a connection and return True, or return False if there are ``most``, or ``most_of_client``, already."""
        if self.connections.total() >= most or self.connections[client] >= most_of_client:
            return False
        self.connections[client] += 1
        return True

    def leave(self, client: str) -> None:
        """Count the end of a connection."""
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
    "referrer-policy": "no-referrer",  # a URL may contain the token
    "x-content-type-options": "nosniff",
}


def refusal(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return the response to a refused request; all refusals have this form."""
    return JSONResponse({"detail": detail}, status, headers=headers)
