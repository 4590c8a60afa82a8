"""One connection: how many there may be, and how long one may keep the server waiting.

uvicorn has no limits for a single client, none for heads that never end, and none for clients that never read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge_runtime.server.protection.limits import client_of
from edge_runtime.server.protection.traffic import SECURITY_HEADERS, refusal

if TYPE_CHECKING:
    from uvicorn import Config
    from uvicorn.server import ServerState

    from edge_runtime.server.protection.limits import Limits
    from edge_runtime.server.protection.traffic import Traffic

# A connection that was refused stays open until the client has closed it too, or for so long: closing at once while it
# still sends would reset it, and the answer be lost.
_LINGER_S = 1.0
_RETRY_S = 5


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with limits. `end_if_late` has to be called about once a second.

    Args:
        limits: Of connections and times.
        traffic: Counts them, all connections of a server together.
        config: uvicorn's, as are the rest.
        server_state: See there.
        app_state: See there.
        _loop: See there.
    """

    def __init__(
        self,
        limits: Limits,
        traffic: Traffic,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._traffic = traffic
        self._client = ""
        self._entered = False
        self._refused_at: float | None = None
        self._waits_since: float | None = None  # for a request's head; None while one is answered
        self._stuck_since: float | None = None  # with more to send than the client takes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets a client in, or tells it that there is no room."""
        super().connection_made(transport)
        self._waits_since = time.monotonic()
        self._client = client_of(self.client[0] if self.client else "")
        most, most_of_client = self._limits.max_connections, self._limits.max_client_connections
        self._entered = self._traffic.enter(self._client, most=most, most_of_client=most_of_client)
        if self._entered:
            return
        self._traffic.refused["connections"] += 1
        if len(self.connections) > 2 * most:  # those that were refused and linger, too
            transport.abort()
            return
        detail = f"Expected at most {most} connections, {most_of_client} of one client; close some, or come back later."
        self._refuse(503, detail, {"retry-after": str(_RETRY_S)})

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives its place to another one."""
        super().connection_lost(exc)
        if self._entered:
            self._traffic.leave(self._client)

    def data_received(self, data: bytes) -> None:
        """Reads on, unless the client was refused."""
        if self._refused_at is None:
            super().data_received(data)

    def handle_events(self) -> None:
        """Notes that a request's head is there."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._waits_since = None

    def on_response_complete(self) -> None:
        """Waits for the next request."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._waits_since = time.monotonic()

    def pause_writing(self) -> None:
        """Notes that the client doesn't take what is sent."""
        super().pause_writing()
        self._stuck_since = time.monotonic()

    def resume_writing(self) -> None:
        """Notes that it did."""
        super().resume_writing()
        self._stuck_since = None

    def send_400_response(self, msg: str) -> None:
        """Answers what isn't HTTP."""
        self._traffic.refused["malformed"] += 1
        self._refuse(400, "Expected an HTTP/1.1 request, got something else.")

    def end_if_late(self) -> None:
        """Ends the connection where the client has kept the server waiting for too long."""
        now = time.monotonic()
        if self._refused_at is not None:
            if now - self._refused_at > _LINGER_S:
                self.transport.abort()
            return
        sends = self.transport.get_write_buffer_size() > 0
        since = self._stuck_since if self._waits_since is None else self._waits_since
        limit_s = self._limits.send_timeout_s if sends else self._limits.header_timeout_s
        if since is None or now - since <= limit_s:
            return
        between = self._waits_since is not None and not sends and self.conn.our_state is h11.IDLE
        if between and not self.conn.trailing_data[0]:
            self.transport.close()  # it just didn't ask again
            return
        self._traffic.refused["slow"] += 1
        if between:
            self._refuse(408, f"Expected the request's head within {limit_s:g} seconds.")
        else:
            self.transport.abort()

    def _refuse(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Answers in the application's place and lets the client go."""
        self._refused_at = time.monotonic()
        if self.cycle is not None:
            self.cycle.disconnected = True  # what the application still answers goes nowhere
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
            self.transport.abort()  # in the middle of another answer
            return
        answer = refusal(status, detail, {**SECURITY_HEADERS, **(headers or {}), "connection": "close"})
        head = [*self.server_state.default_headers, *answer.raw_headers]
        answers_head = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
        events = (
            h11.Response(status_code=status, headers=head, reason=HTTPStatus(status).phrase.encode()),
            h11.Data(data=b"" if answers_head else bytes(answer.body)),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        try:
            self.transport.write_eof()
        except OSError:  # the client has gone already
            self.transport.abort()
