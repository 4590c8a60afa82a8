"""Routes of the live loop: server-sent events, Motion JPEG and a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response

from edge_runtime.server.hub import message
from edge_runtime.server.protection.guard import Places, WatchResponse
from edge_runtime.server.schemas import Detail

if TYPE_CHECKING:
    from edge_runtime.server.hub import Hub

_EVENTS = "text/event-stream"
_MOTION_JPEG = "multipart/x-mixed-replace"
_BOUNDARY = "frame"
_CHECK_S = 5.0  # interval of checking whether the client of an idle stream is still connected
NO_FRAME = "No frame available: the camera is not delivering frames."


def add_streams(app: FastAPI, hub: Hub, places: Places) -> None:
    """Add the routes to an application; ``places`` limits the number of simultaneous streams."""
    full: dict[int | str, dict[str, Any]] = {503: {"model": Detail, "description": "Too many streams or connections"}}

    @app.get(
        "/events",
        summary="Events and status of the live loop, as server-sent events",
        response_class=Response,
        responses={200: {"content": {_EVENTS: {}}}, **full},
    )
    async def events(
        request: Request,
        recent: Annotated[int, Query(ge=0, le=200, description="Number of past events to send first")] = 0,
        status: Annotated[bool, Query(description="Also send the status, four times per second")] = True,
    ) -> Response:
        places.check()
        seen = request.headers.get("last-event-id", "")
        last = int(seen) if seen.isdecimal() and len(seen) < 20 else None
        # An ID beyond the newest event is from before a restart of the server.
        after = max(hub.last_event - recent, 0) if last is None or last > hub.last_event else last
        return WatchResponse(_events(hub, after, status), media_type=_EVENTS, places=places)

    @app.get(
        "/stream.mjpg",
        summary="Live picture, as Motion JPEG",
        response_class=Response,
        responses={200: {"content": {_MOTION_JPEG: {}}}, **full},
    )
    async def stream(request: Request) -> Response:
        places.check()
        return WatchResponse(_pictures(request, hub), media_type=f"{_MOTION_JPEG}; boundary={_BOUNDARY}", places=places)

    @app.get(
        "/snapshot.jpg",
        summary="Newest frame, as JPEG",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}, 503: {"model": Detail, "description": "No frames arrive"}},
    )
    async def snapshot() -> Response:
        picture = await hub.newest_picture() if hub.state == "live" else None
        if picture is None:
            raise HTTPException(503, NO_FRAME)
        return Response(picture.jpeg, media_type="image/jpeg")


async def _events(hub: Hub, after: int, with_status: bool) -> AsyncIterator[str]:
    text = message("status", hub.status())
    while not hub.closed:
        missed = hub.events_after(after)
        after = missed[-1][0] if missed else after
        # One write per round: asyncio logs every write to a client that has just disconnected. The line with a colon is
        # a comment that keeps the connection alive.
        told = [message(event.kind, event.to_dict(), number) for number, event in missed]
        yield "".join([*told, text if with_status else ":\n\n"])
        text = await hub.next_status()


async def _pictures(request: Request, hub: Hub) -> AsyncIterator[bytes]:
    # Browsers show a part once they see the boundary after it, so each part is sent with that boundary.
    yield f"--{_BOUNDARY}\r\n".encode()
    picture = await hub.newest_picture() if hub.frame is not None else None
    while not hub.closed:
        if picture is not None:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            yield b"".join((head.encode(), picture.jpeg, f"\r\n--{_BOUNDARY}\r\n".encode()))
        try:
            picture = await asyncio.wait_for(hub.next_picture(), _CHECK_S)
        except asyncio.TimeoutError:
            picture = None
            if await request.is_disconnected():
                return
