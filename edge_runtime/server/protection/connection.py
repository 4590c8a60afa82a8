"""Limits on the number of connections and on slow clients.

uvicorn limits neither the connections of a single client, nor slow headers, nor clients that never read.
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
    from edge_runtime.server.protection.limits import Limits
    from edge_runtime.server.protection.traffic import Traffic

# A refused connection stays open until the client closes it, at most this long: closing it while the client still sends
# would reset the connection and lose the response.
_LINGER_S = 1.0
_RETRY_S = 5


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with limits. The server must call `end_if_late` about once per second.

    Args:
        limits: Limits on connections and timeouts.
        traffic: Counters shared by all connections of a server.
        options: Arguments of uvicorn's protocol.
    """

    def __init__(self, limits: Limits, traffic: Traffic, **options: Any) -> None:
        super().__init__(**options)
        self._limits = limits
        self._traffic = traffic
        self._client = ""
        self._entered = False
        self._refused_at: float | None = None
        self._waits_since: float | None = None  # waiting for request headers; None during a response
        self._stuck_since: float | None = None  # the client does not read what is sent

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the client, or refuse it if there are too many connections."""
        super().connection_made(transport)
        self._waits_since = time.monotonic()
        self._client = client_of(self.client[0] if self.client else "")
        most, most_of_client = self._limits.max_connections, self._limits.max_client_connections
        self._entered = self._traffic.enter(self._client, most=most, most_of_client=most_of_client)
        if self._entered:
            return
        self._traffic.refused["connections"] += 1
        if len(self.connections) > 2 * most:  # including refused connections that are still open
            transport.abort()
            return
        detail = f"Too many connections: at most {most}, {most_of_client} per client. Close some or retry later."
        self._refuse(503, detail, {"retry-after": str(_RETRY_S)})

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the connection's place."""
        super().connection_lost(exc)
        if self._entered:
            self._traffic.leave(self._client)

    def data_received(self, data: bytes) -> None:
        """Process the data unless the client was refused."""
        if self._refused_at is None:
            super().data_received(data)

    def handle_events(self) -> None:
        """Stop the header timeout once the request headers are complete."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self._waits_since = None

    def on_response_complete(self) -> None:
        """Start the header timeout for the next request."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._waits_since = time.monotonic()

    def pause_writing(self) -> None:
        """Start the send timeout: the client does not read."""
        super().pause_writing()
        self._stuck_since = time.monotonic()

    def resume_writing(self) -> None:
        """Stop the send timeout: the client reads again."""
        super().resume_writing()
        self._stuck_since = None

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not valid HTTP."""
        self._traffic.refused["malformed"] += 1
        self._refuse(400, "Invalid HTTP/1.1 request.")

    def end_if_late(self) -> None:
        """End the connection if a timeout has passed."""
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
            self.transport.close()  # idle keep-alive connection
            return
        self._traffic.refused["slow"] += 1
        if between:
            self._refuse(408, f"The request headers did not arrive within {limit_s:g} s.")
        else:
            self.transport.abort()

    def _refuse(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        """Respond in place of the application and close the connection."""
        self._refused_at = time.monotonic()
        if self.cycle is not None:
            self.cycle.disconnected = True  # discard what the application still sends
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE) or self.transport.is_closing():
            self.transport.abort()  # another response has already begun
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
        except OSError:  # the client has already disconnected
            self.transport.abort()
