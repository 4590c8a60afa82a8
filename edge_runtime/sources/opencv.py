"""OpenCV's video capture, made quiet and safe to close from another thread, and the sources that read from it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Source
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray


UNDECODABLE_IN_A_ROW = 5
"""Number of consecutive undecodable frames after which the camera counts as broken."""


class Capture:
    """A `cv2.VideoCapture` that is released exactly once and never during a read."""

    def __init__(self, capture: cv2.VideoCapture, *, name: str) -> None:
        self._capture = capture
        self._name = name
        self._reading = threading.Lock()
        self._closed = threading.Event()

    def read(self) -> tuple[NDArray[np.uint8], float] | None:
        """Return the next frame, uint8 (H, W, 3) BGR, 0–255, and its capture time; None if there are no more.

        Undecodable frames are skipped: a disturbance on the cable does not mean that the camera was unplugged.

        Raises:
            SourceError: Several frames in a row cannot be decoded, or have a pixel format that OpenCV does not support.
        """
        for _ in range(UNDECODABLE_IN_A_ROW):
            try:
                with self._reading:
                    if self._closed.is_set() or not self._capture.grab():
                        return None
                    captured_at = time.monotonic()  # before decoding, which counts towards the frame's age
                    done, pixels = self._capture.retrieve()
            finally:
                if self._closed.is_set():
                    self._release()
            if done and pixels is not None:
                return self._checked(pixels), captured_at
        raise SourceError(
            f"{UNDECODABLE_IN_A_ROW} frames in a row from {self._name} cannot be decoded. "
            "Check its cable and power, or choose a smaller frame size."
        )

    def _checked(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        # OpenCV returns an unknown pixel format as one long row of raw bytes.
        if pixels.ndim != 3 or pixels.shape[2] != 3:
            raise SourceError(
                f"{self._name} sends a pixel format that OpenCV cannot convert (frame shape {pixels.shape}). "
                "Choose another frame size; 'v4l2-ctl --list-formats-ext' lists those of a camera."
            )
        return pixels

    def get(self, property_id: int) -> float:
        """Return the value of one of OpenCV's ``CAP_PROP_*``; 0 if it is unknown."""
        with self._reading:
            return 0.0 if self._closed.is_set() else float(self._capture.get(property_id))

    def set(self, property_id: int, value: float) -> None:
        """Request a value for one of OpenCV's ``CAP_PROP_*``; `get` returns the actual one."""
        with self._reading:
            self._capture.set(property_id, value)

    def choose_pixel_format(self, *codes: str) -> None:
        """Request the first of these FourCC codes that the camera supports.

        By default OpenCV uses the first code of its own list, which starts with BGR3, and may return it undecoded.
        """
        import cv2

        for code in codes:
            self.set(cv2.CAP_PROP_FOURCC, wanted := cv2.VideoWriter.fourcc(*code))
            if self.get(cv2.CAP_PROP_FOURCC) == wanted:
                return

    @property
    def closed(self) -> bool:
        """True after `close` was called."""
        return self._closed.is_set()

    def close(self) -> None:
        """Release the capture, or let a `read` in progress release it when it returns."""
        self._closed.set()
        self._release()

    def _release(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                with quiet_opencv():  # OpenCV warns if the device was unplugged
                    self._capture.release()
            finally:
                self._reading.release()


class CaptureSource(Source):
    """Base class of the sources that read a live `Capture`. Subclasses implement `reopen` and `describe`.

    Args:
        capture: Open capture to read from.
        stopped: Error message for a live source that stops sending frames.
    """

    error: type[SourceError] = SourceError

    def __init__(self, capture: Capture, *, stopped: str) -> None:
        self._capture = capture
        self._stopped = stopped

    def read(self) -> Frame | None:
        """See `Source.read`.

        Raises:
            SourceError: The source stopped sending frames, or they cannot be decoded.
        """
        taken = self._take()
        if taken is None:
            if not self.live or self._capture.closed:
                return None
            raise self.error(self._stopped)
        return self._frame(*taken)

    def close(self) -> None:
        """See `Source.close`."""
        self._capture.close()

    def _take(self) -> tuple[NDArray[np.uint8], float] | None:
        return self._capture.read()


def open_capture(place: str, backends: Sequence[int], *, name: str, parameters: Sequence[int] = ()) -> Capture | None:
    """Open a device, file or URL with the first OpenCV backend that can; None if none can.

    Args:
        place: Path or URL.
        backends: OpenCV's ``CAP_*`` numbers, in order of preference.
        name: Name of the source in error messages, without passwords.
        parameters: OpenCV's open parameters: ``CAP_PROP_*`` numbers, each followed by its value.
    """
    import cv2

    # FFmpeg prints directly to stderr unless OpenCV tells it not to. A level set by the user is kept.
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
    """Suppress OpenCV's warnings on stderr about problems that are reported as errors anyway."""
    import cv2

    module: Any = cv2
    log = module if hasattr(module, "setLogLevel") else module.utils.logging  # moved after OpenCV 4.11
    before = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(before)
