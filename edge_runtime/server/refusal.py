"""How a request is refused, and what browsers are told with every answer."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.responses import JSONResponse

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
