"""Between the live loop and all who watch: what is newest, encoded once for all of them.

The live loop's thread leaves frames and results here, which costs it next to nothing. What is sent is made on the side
of the web server, once for however many watch, and only while somebody does.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from edge_runtime.device.machine import read_temperature_c
from edge_runtime.sinks.json_lines import line_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.types import Event, Frame, LiveResult

State = Literal["live", "away", "ended"]
"""``"away"``: no frame for a while, or none yet; ``"ended"``: none will come, the source is at its end."""

JPEG_QUALITY = 80
LONGEST_SIDE = 1280  # of a picture that is sent, in pixels
KEPT_EVENTS = 200

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Picture:
    """A frame as it is sent.

    Attributes:
        jpeg: The file.
        frame: That it was made from.
    """

    jpeg: bytes = field(repr=False)
    frame: Frame = field(repr=False)


class Hub:
    """The newest frame and result of a live loop.

    `show`, `tell` and `end` are for the live loop's thread, everything else for the web server's.

    Args:
        picture_fps: Pictures a second at most.
        status_s: How often a status is sent.
        away_after_s: After how many seconds without a frame the camera counts as away.
    """

    def __init__(self, *, picture_fps: float = 15.0, status_s: float = 0.25, away_after_s: float = 2.0) -> None:
        self.frame: Frame | None = None
        self.result: LiveResult | None = None
        self.closed = False
        self.encoded = 0
        self.classified_s = 0.0  # in the network, over all frames
        self.event_counts: Counter[str] = Counter(entered=0, left=0, changed=0)
        self.next_picture = Shared(self._next_picture)
        self.next_status = Shared(self._next_status)
        self._period_s = 1 / picture_fps
        self._status_s = status_s
        self._away_after_s = away_after_s
        self._seen_at = float("-inf")
        self._ended = False
        self._events: deque[tuple[int, Event]] = deque(maxlen=KEPT_EVENTS)
        self._picture: Picture | None = None
        self._encoded_at = float("-inf")
        # Set from the live loop's thread through the event loop, which is known once somebody has waited.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived, self._happened = asyncio.Event(), asyncio.Event()
        self._picture_wanted = False

    def show(self, frame: Frame) -> None:
        """Takes a frame, also one that isn't classified: ``on_frame`` of `edge_runtime.live_loop.loop.live`."""
        self.frame, self._seen_at = frame, time.monotonic()
        if self._picture_wanted:
            self._wake(self._arrived)

    def tell(self, result: LiveResult) -> None:
        """Takes a result."""
        self.result = result
        self.classified_s += result.prediction.inference_ms / 1000
        events = () if result.decision is None else result.decision.events
        for event in events:
            self._events.append((self.last_event + 1, event))
            self.event_counts[event.kind] += 1
        if events:
            self._wake(self._happened)

    def end(self) -> None:
        """Says that no more frames will come."""
        self._ended = True
        self._wake(self._happened)

    def close(self) -> None:
        """Lets everybody go who waits. Any thread may call it, and a signal handler."""
        self.closed = True
        self._wake(self._arrived)
        self._wake(self._happened)

    @property
    def state(self) -> State:
        """Whether frames come."""
        if self._ended:
            return "ended"
        return "live" if time.monotonic() - self._seen_at <= self._away_after_s else "away"

    @property
    def last_event(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self._events[-1][0] if self._events else 0

    def events_after(self, number: int) -> list[tuple[int, Event]]:
        """The kept events with larger numbers, in order."""
        return [numbered for numbered in tuple(self._events) if numbered[0] > number]

    def status(self) -> dict[str, Any]:
        """What is known now, as JSON can hold it: the line of `JsonLines`, with the source's state."""
        return {
            "state": self.state,
            "temperature_c": read_temperature_c(),
            **({} if self.result is None else line_of(self.result)),
        }

    async def newest_picture(self) -> Picture | None:
        """The newest frame as a picture; None when the hub was closed."""
        if self._picture is not None and self._picture.frame is self.frame:
            return self._picture
        return await self.next_picture()

    async def _next_picture(self) -> Picture | None:
        """Waits for a frame that wasn't encoded yet, and encodes it; None when the hub was closed."""
        self._loop = asyncio.get_running_loop()
        await asyncio.sleep(self._encoded_at + self._period_s - time.monotonic())
        self._picture_wanted = True
        while True:
            self._arrived.clear()  # before the look, or a frame that comes in between is slept through
            if self.closed:
                return None
            frame = self.frame
            if frame is not None and (self._picture is None or frame is not self._picture.frame):
                break
            await self._arrived.wait()
        self._picture_wanted = False
        self._encoded_at = time.monotonic()
        self._picture = Picture(await asyncio.to_thread(encode, frame.pixels), frame)
        self.encoded += 1
        return self._picture

    async def _next_status(self) -> str:
        """Waits until it is time for a status or something has happened; the status as a message."""
        self._loop = asyncio.get_running_loop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._happened.wait(), self._status_s)
        self._happened.clear()
        return message("status", self.status())

    def _wake(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the server has gone, and its event loop with it
                self._loop.call_soon_threadsafe(event.set)


class Shared(Generic[Made]):
    """Makes a thing once for all who wait for it at the same time."""

    def __init__(self, make: Callable[[], Awaitable[Made]]) -> None:
        self._make = make
        self._task: asyncio.Task[Made] | None = None

    async def __call__(self) -> Made:
        """Waits for what is being made, or begins with it. One who gives up doesn't disturb the others."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(self._task)

    async def _run(self) -> Made:
        return await self._make()


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG file of a frame, made smaller where a page doesn't need it as large.

    Args:
        pixels: uint8 (H, W, 3) BGR, 0–255.
    """
    import cv2

    height, width = pixels.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale < 1:
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes()


def message(kind: str, content: dict[str, Any], number: int | None = None) -> str:
    """One message of a server-sent event stream."""
    identity = "" if number is None else f"id: {number}\n"
    return f"event: {kind}\n{identity}data: {json.dumps(content)}\n\n"
