"""Who may come in, with how much, and what the browser is told about it."""

from __future__ import annotations

import ipaddress
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from fastapi import HTTPException
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.datastructures import Headers, MutableHeaders

from edge_runtime.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_TOKEN = 12  # characters
_MULTIPART_BYTES = 16 * 1024  # that a form may have around its file
_DRAINED = 4  # times the limit that is read and thrown away, so that the client hears the answer
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",  # an address may hold the token
    "x-content-type-options": "nosniff",
}


def check_address(host: str, token: str | None) -> None:
    """Refuses to be reachable from elsewhere without a token.

    Raises:
        ServerError: There is no token, or one that can be guessed.
    """
    if token is not None and len(token) < LEAST_TOKEN:
        raise ServerError(
            f"Expected a token of at least {LEAST_TOKEN} characters, got {len(token)}: "
            "python3 -c 'import secrets; print(secrets.token_urlsafe())' makes one."
        )
    if token is None and not is_loopback(host):
        raise ServerError(
            f"Expected a token, because others can reach {host}: give --token or set EDGE_RUNTIME_TOKEN, "
            "or serve on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which nobody else can reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Stands before the application: token, origin, size of a request; and the headers of each answer.

    Args:
        app: The application.
        token: That a request must carry, as ``Authorization: Bearer`` or as ``?token=`` for what can't send headers;
            None: whoever reaches this machine's own address may come in.
        public: Paths that need no token.
        max_body_bytes: Of a request.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, public: frozenset[str], max_body_bytes: int) -> None:
        self._app = app
        self._token = None if token is None else token.encode()
        self._public = public
        self._max_body_bytes = max_body_bytes + _MULTIPART_BYTES

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        refused = self._refusal(scope, headers)
        if refused is None:
            await self._app(scope, self._limited(headers, receive), send_with_headers)
        else:
            await refused(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        if self._token is None:
            return _foreign(scope, headers)
        if scope["path"] in self._public or self._is_right(scope, headers):
            return None
        return _answer(401, "Expected the token, as 'Authorization: Bearer TOKEN' or ?token=TOKEN.", bearer=True)

    def _is_right(self, scope: Scope, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return secrets.compare_digest(given.strip().encode(), self._token)

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        """``receive`` that counts, and refuses in the application's name what is too large."""
        limit, received = self._max_body_bytes, 0
        length = headers.get("content-length", "")
        announced = int(length) if length.isdecimal() else 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if max(received, announced) > limit:
                while message.get("more_body") and received <= _DRAINED * limit:
                    message = await receive()
                    received += len(message.get("body", b""))
                raise HTTPException(413, f"Expected at most {limit - _MULTIPART_BYTES:,} bytes, got more.")
            return message

        return receive_limited


class Places:
    """How many may watch at a time; one who goes, in whatever way, leaves his place."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0

    def check(self) -> None:
        """Refuses one more where all places are taken.

        Raises:
            HTTPException: 503.
        """
        if self.taken >= self._limit:
            raise HTTPException(503, f"Expected at most {self._limit} viewers, all are there.", {"retry-after": "5"})


class WatchResponse(StreamingResponse):
    """A stream that takes a place as long as it lasts."""

    def __init__(self, content: AsyncIterator[str] | AsyncIterator[bytes], *, media_type: str, places: Places) -> None:
        super().__init__(content, media_type=media_type)
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        self._places.taken += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._places.taken -= 1


def _foreign(scope: Scope, headers: Headers) -> JSONResponse | None:
    """Refuses another site's page, which must neither write here nor read by giving its own name our address."""
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        name = urlsplit(f"//{host}").hostname or ""
        site = None if origin is None else urlsplit(origin).netloc
    except ValueError:
        return _answer(400, "Expected a host and an origin that can be read.")
    if not is_loopback(name):
        return _answer(421, f"Expected to be asked as localhost or 127.0.0.1, got {name!r}.")
    if site not in (None, host) and scope["method"] not in ("GET", "HEAD"):
        return _answer(403, "Expected a request of this server's own page, got one of another site.")
    return None


def _answer(status: int, detail: str, *, bearer: bool = False) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers={"www-authenticate": "Bearer"} if bearer else None)
