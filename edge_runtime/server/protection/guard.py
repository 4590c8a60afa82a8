"""Who may come in, with how much, and what the browser is told about it."""

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
_SMALL_BYTES = 16 * 1024  # what a form may have around its file, and all of a body that brings no file
_DRAINED = 4  # times the limit that is read and thrown away, so that the client hears the answer


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
    """Stands before the application: rate, token, origin, size and time of a request; the headers of each answer.

    Args:
        app: The application.
        token: That a request must carry, as ``Authorization: Bearer`` or as ``?token=`` for what can't send headers;
            None: whoever reaches this machine's own address may come in.
        public: Paths that need no token.
        uploads: Paths that take files.
        limits: Of requests.
        traffic: Counts what is refused.
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
        """Handles one request."""
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
        else:  # nothing reads its body, and while a stream is sent there would be nobody to refuse it to
            await self._app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        wait_s = self._rate.wait_s(client_in(scope), monotonic())
        if wait_s:
            self._traffic.refused["rate"] += 1
            detail = f"Expected at most {self._limits.max_rate:g} requests a second of one client."
            return refusal(429, detail, {"retry-after": str(ceil(wait_s))})
        if self._token is None:
            foreign = _foreign(scope, headers)
            self._traffic.refused["foreign"] += foreign is not None
            return foreign
        if scope["path"] in self._public or self._is_right(scope, headers):
            return None
        self._traffic.refused["token"] += 1
        detail = "Expected the token, as 'Authorization: Bearer TOKEN' or ?token=TOKEN."
        return refusal(401, detail, {"www-authenticate": "Bearer"})

    def _is_right(self, scope: Scope, headers: Headers) -> bool:
        assert self._token is not None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return secrets.compare_digest(given.strip().encode(), self._token)

    def _limited(self, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """``receive`` that counts and looks at the clock, and refuses in the application's name."""
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
                within = f"{self._limits.body_timeout_s:g} seconds"
                raise HTTPException(408, f"Expected the request's body within {within}.") from None
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
                raise HTTPException(413, f"Expected at most {file_bytes or limit:,} bytes, got more.")
            return message

        return receive_limited


def client_in(scope: Scope) -> str:
    """Whose request it is."""
    return client_of(scope["client"][0] if scope.get("client") else "")


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
        return refusal(400, "Expected a host and an origin that can be read.")
    if not is_loopback(name):
        return refusal(421, f"Expected to be asked as localhost or 127.0.0.1, got {name!r}.")
    if site not in (None, host) and scope["method"] not in ("GET", "HEAD"):
        return refusal(403, "Expected a request of this server's own page, got one of another site.")
    return None
