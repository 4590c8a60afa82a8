"""Requests byte by byte, from any of this machine's own addresses: what no well-behaved client can send."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

STREAMS = ("text/event-stream", "multipart/x-mixed-replace")


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP's.
        headers: By lower-case name.
        body: All of it; empty for a stream.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def connect(address: str, *, client: str = "127.0.0.1", timeout: float = 60.0) -> socket.socket:
    """A connection from the address ``client``; on Linux all of 127.0.0.0/8 is this machine."""
    where = urlsplit(address)
    assert where.hostname is not None
    return socket.create_connection((where.hostname, where.port or 80), timeout, source_address=(client, 0))


def read_answer(connection: socket.socket, method: str = "GET") -> Answer | None:
    """The next answer; None where the server closes without one."""
    response = HTTPResponse(connection, method=method)
    try:
        response.begin()
    except (HTTPException, ConnectionError):
        return None
    with response:
        headers = {name.lower(): value for name, value in response.getheaders()}
        stream = headers.get("content-type", "").startswith(STREAMS)
        return Answer(response.status, headers, b"" if stream else response.read())


def ask(address: str, request: bytes, *, client: str = "127.0.0.1", method: str = "GET") -> Answer | None:
    """Sends one request on a connection of its own."""
    with connect(address, client=client) as connection:
        with suppress(ConnectionError):  # it may answer before it has read all
            connection.sendall(request)
        return read_answer(connection, method)


def get(path: str, *headers: str) -> bytes:
    """A GET request."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    """A POST request; ``length`` is what it says of its body's length, if that isn't true."""
    said = len(body) if length is None else length
    head = (f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {said}", *headers, "", "")
    return "\r\n".join(head).encode() + body
