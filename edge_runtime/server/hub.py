"""Connects the live loop to the viewers: newest frame, result and events, encoded once for all viewers.

The live loop's thread only stores references here. Encoding runs on the web server's side, and only while somebody is
watching.
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
"""``"away"``: no recent frame, or none yet; ``"ended"``: the source has ended."""

JPEG_QUALITY = 80
LONGEST_SIDE = 1280  # pixels of a picture that is sent
KEPT_EVENTS = 200

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Picture:
    """Encoded frame.

    Attributes:
        jpeg: JPEG file.
        frame: Frame that was encoded.
    """

    jpeg: bytes = field(repr=False)
    frame: Frame = field(repr=False)


class Hub:
    """Newest frame, result and events of a live loop.

    The live loop's thread calls `show`, `tell` and `end`; all other methods belong to the web server's thread.

    Args:
        picture_fps: Maximum pictures per second.
        status_s: Seconds between two status messages.
        away_after_s: Seconds without a frame after which the camera counts as away.
    """

    def __init__(self, *, picture_fps: float = 15.0, status_s: float = 0.25, away_after_s: float = 2.0) -> None:
        self.frame: Frame | None = None
        self.result: LiveResult | None = None
        self.closed = False
        self.encoded = 0
        self.classified_s = 0.0  # total inference time
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
        # The live loop's thread sets the events through the asyncio loop, which is known after the first wait.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived, self._happened = asyncio.Event(), asyncio.Event()
        self._picture_wanted = False

    def show(self, frame: Frame) -> None:
        """Store a frame, classified or not; the ``on_frame`` of `edge_runtime.live`."""
        self.frame, self._seen_at = frame, time.monotonic()
        if self._picture_wanted:
            self._wake(self._arrived)

    def tell(self, result: LiveResult) -> None:
        """Store a result and its events."""
        self.result = result
        self.classified_s += result.prediction.inference_ms / 1000
        events = () if result.decision is None else result.decision.events
        for event in events:
            self._events.append((self.last_event + 1, event))
            self.event_counts[event.kind] += 1
        if events:
            self._wake(self._happened)

    def end(self) -> None:
        """Note that the source has ended."""
        self._ended = True
        self._wake(self._happened)

    def close(self) -> None:
        """End all waiting calls. May be called from any thread or a signal handler."""
        self.closed = True
        self._wake(self._arrived)
        self._wake(self._happened)

    @property
    def state(self) -> State:
        """State of the source."""
        if self._ended:
            return "ended"
        return "live" if time.monotonic() - self._seen_at <= self._away_after_s else "away"

    @property
    def last_event(self) -> int:
        """Number of the newest event; 0 if there is none."""
        return self._events[-1][0] if self._events else 0

    def events_after(self, number: int) -> list[tuple[int, Event]]:
        """Return the stored events with larger numbers, in order."""
        return [numbered for numbered in tuple(self._events) if numbered[0] > number]

    def status(self) -> dict[str, Any]:
        """Return a JSON-serializable dict with the source's state and the newest result, as in `JsonLines`."""
        return {
            "state": self.state,
            "temperature_c": read_temperature_c(),
            **({} if self.result is None else line_of(self.result)),
        }

    async def newest_picture(self) -> Picture | None:
        """Return the newest frame as a picture; None after `close`."""
        if self._picture is not None and self._picture.frame is self.frame:
            return self._picture
        return await self.next_picture()

    async def _next_picture(self) -> Picture | None:
        """Wait for a frame that is not encoded yet and encode it; None after `close`."""
        self._loop = asyncio.get_running_loop()
        await asyncio.sleep(self._encoded_at + self._period_s - time.monotonic())
        self._picture_wanted = True
        while True:
            self._arrived.clear()  # before looking, so that a frame that arrives meanwhile is not missed
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
        """Wait for the next status or event and return the status as a message."""
        self._loop = asyncio.get_running_loop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._happened.wait(), self._status_s)
        self._happened.clear()
        return message("status", self.status())

    def _wake(self, event: asyncio.Event) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the server has stopped and closed its asyncio loop
                self._loop.call_soon_threadsafe(event.set)


class Shared(Generic[Made]):
    """Shares one awaitable call among all callers that wait at the same time."""

    def __init__(self, make: Callable[[], Awaitable[Made]]) -> None:
        self._make = make
        self._task: asyncio.Task[Made] | None = None

    async def __call__(self) -> Made:
        """Join the call in progress or start one. A caller that is cancelled does not affect the others."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(self._task)

    async def _run(self) -> Made:
        return await self._make()


def encode(pixels: NDArray[np.uint8]) -> bytes:
    """Return a frame as JPEG, downscaled to `LONGEST_SIDE` if it is larger.

    Args:
        pixels: Frame, uint8 (H, W, 3) BGR, 0–255.
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
    """Return one message of a server-sent event stream."""
    identity = "" if number is None else f"id: {number}\n"
    return f"event: {kind}\n{identity}data: {json.dumps(content)}\n\n"
