"""Checks each request before the application sees it: rate, token, origin, body size and time."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException
from fastapi.responses import StreamingResponse
from starlette.datastructures import Headers, MutableHeaders

from edge_runtime.errors import ServerError
from edge_runtime.server.protection.limits import RateLimiter, client_of
from edge_runtime.server.protection.traffic import SECURITY_HEADERS, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi.responses import JSONResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from edge_runtime.server.protection.limits import Limits
    from edge_runtime.server.protection.traffic import Traffic

LEAST_TOKEN = 12  # characters
_SMALL_BYTES = 16 * 1024  # allowed around a form's file, and for a body without a file
_DRAINED = 4  # multiple of the limit that is read and discarded, so that the client gets the response


def check_address(host: str, token: str | None) -> None:
    """Check that an address that other machines can reach is protected by a token.

    Raises:
        ServerError: The token is missing or too short.
    """
    if token is not None and len(token) < LEAST_TOKEN:
        raise ServerError(
            f"The token has {len(token)} characters; at least {LEAST_TOKEN} are required. Generate one with: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    if token is None and not is_loopback(host):
        raise ServerError(
            f"Serving on {host} requires a token, because other machines can reach it. Set --token or "
            "EDGE_RUNTIME_TOKEN, or serve on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether an address is a loopback address, which other machines cannot reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """ASGI middleware that checks requests and adds security headers to each response.

    Args:
        app: Application to protect.
        token: Token that requests must carry, as ``Authorization: Bearer TOKEN`` or, for clients that cannot send
            headers, as ``?token=TOKEN``; None to accept only requests to a loopback address.
        public: Paths that need no token.
        uploads: Paths that accept files.
        limits: Limits on requests.
        traffic: Counters of refused requests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        public: frozenset[str],
        uploads: frozenset[str],
        limits: Limits,
        traffic: Traffic,
    ) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._public = public
        self._uploads = uploads
        self._limits = limits
        self._traffic = traffic
        self._rate = RateLimiter(limits.max_rate, burst=2 * limits.max_rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await refused(scope, receive, send_with_headers)
        elif scope["method"] == "POST":
            await self._app(scope, self._limited(scope, headers, receive), send_with_headers)
        else:  # no route reads the body, and a stream that has begun could not be refused any more
            await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        wait_s = self._rate.wait_s(client_in(scope), monotonic())
        if wait_s:
            self._traffic.refused["rate"] += 1
            detail = f"Too many requests: at most {self._limits.max_rate:g} per second from one client. Retry later."
            return refusal(429, detail, {"retry-after": str(ceil(wait_s))})
        if self._token is None:
            foreign = _foreign(scope, headers)
            self._traffic.refused["foreign"] += foreign is not None
            return foreign
        if scope["path"] in self._public or self._is_right(scope, headers):
            return None
        self._traffic.refused["token"] += 1
        detail = "Missing or wrong token. Send it as 'Authorization: Bearer TOKEN' or ?token=TOKEN."
        return refusal(401, detail, {"www-authenticate": "Bearer"})

    def _is_right(self, scope: Scope, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return secrets.compare_digest(given.strip().encode(), self._token)

    def _limited(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Return a ``receive`` that limits the size and time of the body."""
        file_bytes = self._limits.max_bytes if scope["path"] in self._uploads else 0
        limit, received = file_bytes + _SMALL_BYTES, 0
        length = headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else 0
        coming = True
        deadline = monotonic() + self._limits.body_timeout_s

        async def receive_in_time() -> Message:
            nonlocal received, coming
            try:
                message = await asyncio.wait_for(receive(), deadline - monotonic())
            except asyncio.TimeoutError:
                detail = f"The request body did not arrive within {self._limits.body_timeout_s:g} s."
                raise HTTPException(408, detail) from None
            received += len(message.get("body", b""))
            coming = message.get("more_body", False)
            return message

        async def receive_limited() -> Message:
            if not coming:
                return await receive()
            message = await receive_in_time()
            if max(received, announced) > limit:
                while coming and received <= _DRAINED * limit:
                    await receive_in_time()
                raise HTTPException(413, f"The request body is too large: the limit is {file_bytes or limit:,} bytes.")
            return message

        return receive_limited


def client_in(scope: Scope) -> str:
    """Return the client of a request."""
    return client_of(scope["client"][0] if scope.get("client") else "")


class Places:
    """Limits the number of simultaneous streams."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0

    def check(self) -> None:
        """Check that a place is free.

        Raises:
            HTTPException: 503 if all places are taken.
        """
        if self.taken >= self._limit:
            raise HTTPException(503, f"All {self._limit} streams are in use. Retry later.", {"retry-after": "5"})


class WatchResponse(StreamingResponse):
    """Streaming response that occupies a place while it lasts."""

    def __init__(self, content: AsyncIterator[str] | AsyncIterator[bytes], *, media_type: str, places: Places) -> None:
        super().__init__(content, media_type=media_type)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        self._places.taken += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.taken -= 1


def _foreign(scope: Scope, headers: Headers) -> JSONResponse | None:
    """Refuse pages of other sites: cross-site writes, and reads through a name that resolves here (DNS rebinding)."""
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        name = urlsplit(f"//{host}").hostname or ""
        site = None if origin is None else urlsplit(origin).netloc
    except ValueError:
        return refusal(400, "Invalid Host or Origin header.")
    if not is_loopback(name):
        return refusal(421, f"Host {name!r} is not allowed. Use localhost or 127.0.0.1, or set a token for the server.")
    if site not in (None, host) and scope["method"] not in ("GET", "HEAD"):
        return refusal(403, "Cross-site request refused.")
    return None
