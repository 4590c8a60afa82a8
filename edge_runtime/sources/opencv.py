"""OpenCV's capture, made safe to close from another thread, and quiet."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray


UNDECODABLE_IN_A_ROW = 5
"""Frames that can't be decoded, one after the other, after which it is the camera that is broken."""


class Capture:
    """A `cv2.VideoCapture` that is released exactly once, and never while it is being read."""

    def __init__(self, capture: cv2.VideoCapture, *, name: str) -> None:
        self._capture = capture
        self._name = name
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def read(self) -> tuple[NDArray[np.uint8], float] | None:
        """The next frame, uint8 (H, W, 3) BGR, and when it was taken; None where there is none any more.

        A frame that can't be decoded is left out: a spark on the cable isn't a camera that was unplugged.

        Raises:
            SourceError: Frames come, but none that can be decoded, or in a pixel format that OpenCV doesn't know.
        """
        for _ in range(UNDECODABLE_IN_A_ROW):
            try:
                with self._reading:
                    if self._closed.is_set() or not self._capture.grab():
                        return None
                    captured_at = time.monotonic()  # before decoding: that is part of the frame's age
                    done, pixels = self._capture.retrieve()
            finally:
                if self._closed.is_set():
                    self._release()
            if done and pixels is not None:
                return self._checked(pixels), captured_at
        raise SourceError(
            f"Expected pictures from {self._name}, got {UNDECODABLE_IN_A_ROW} in a row that can't be decoded. "
            "Check its cable and power, or choose a smaller size."
        )

    def _checked(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # A camera that delivers a format which OpenCV doesn't know gives its raw bytes, as one long row.
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise SourceError(
                f"Expected pictures of shape (height, width, 3) from {self._name}, got {pixels.shape}: a pixel format "
                "that OpenCV can't convert. Choose another format or size ('v4l2-ctl --list-formats-ext' lists them)."
            )
        return pixels

    def get(self, property_id: int) -> float:
        """One of OpenCV's ``CAP_PROP_*``; 0 where it is unknown."""
        with self._reading:
            return 0.0 if self._closed.is_set() else float(self._capture.get(property_id))

    def set(self, property_id: int, value: float) -> None:
        """Asks for one of OpenCV's ``CAP_PROP_*``; what comes of it, `get` tells."""
        with self._reading:
            self._capture.set(property_id, value)

    def choose_pixel_format(self, *codes: str) -> None:
        """Asks a camera for the first of these FourCC codes that it has.

        Left to itself OpenCV takes the first of its own list, which begins with BGR3, and may hand that over undecoded.
        """
        import cv2

        for code in codes:
            self.set(cv2.CAP_PROP_FOURCC, wanted := cv2.VideoWriter.fourcc(*code))
            if self.get(cv2.CAP_PROP_FOURCC) == wanted:
                return

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """Releases the capture, or leaves that to the `read` which is under way."""
        self._closed.set()
        self._release()

    def _release(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                with quiet_opencv():  # a device that was unplugged can't be told to stop
                    self._capture.release()
            finally:
                self._reading.release()


def open_capture(place: str, backends: Sequence[int], *, name: str, parameters: Sequence[int] = ()) -> Capture | None:
    """Opens ``place`` with the first of OpenCV's backends that can; None where none can."""
    import cv2

    # FFmpeg prints straight to stderr, and only OpenCV can tell it not to; a user's own setting stays.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with quiet_opencv():
        for backend in backends:
            capture = (
                cv2.VideoCapture(place, backend, list(parameters)) if parameters else cv2.VideoCapture(place, backend)
            )
            if capture.isOpened():
                return Capture(capture, name=name)
            capture.release()
    return None


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """Keeps OpenCV from warning on stderr about what we report ourselves."""
    import cv2

    module: Any = cv2
    log = module if hasattr(module, "setLogLevel") else module.utils.logging  # it moved after OpenCV 4.11
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)
