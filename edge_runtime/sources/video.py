"""Video files."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Pace, Pacer, Source
from edge_runtime.sources.opencv import Capture, open_capture
from edge_runtime.types import Frame


class VideoSource(Source):
    """The frames of a video file, in order.

    Args:
        path: Path of the file.
        pace: ``"fast"`` or ``"realtime"``.
        loop: If True, start again at the end.
        fps: Frames per second to play at; default: the file's own rate.

    Raises:
        SourceError: The file cannot be read or is not a video that OpenCV can decode.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, pace: Pace = "fast", loop: bool = False, fps: float | None = None
    ) -> None:
        import cv2

        self.path = os.fspath(path)
        self.paced = pace == "realtime"
        self._loop = loop

        self._closed = threading.Event()
        self._capture = self._open()
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.fps = fps or self._capture.get(cv2.CAP_PROP_FPS) or 30.0
        self._pacer = Pacer(self._closed)

    def read(self) -> Frame | None:
        """See `Source.read`.

        Raises:
            SourceError: The video contains no frames.
        """
        if self._closed.is_set():
            return None
        taken = self._capture.read()
        if taken is None and self._loop and self._index and not self._closed.is_set():
            self._capture.close()
            self._capture = self._open()
            if self._closed.is_set():  # close() was called meanwhile and closed the old capture
                self._capture.close()
            taken = self._capture.read()
        if taken is None:
            if self._index == 0 and not self._closed.is_set():
                raise SourceError(f"The video {self.path} contains no frames: it is empty or damaged.")
            return None
        pixels, captured_at = taken
        if self.paced:
            self._pacer.wait(1 / self.fps)
            captured_at = time.monotonic()
        return self._frame(pixels, captured_at, position_s=self._index / self.fps)

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()
        self._capture.close()

    def describe(self) -> str:
        """See `Source.describe`."""
        pace = f"at {self.fps:g} fps" if self.paced else "as fast as possible"
        return f"video {self.path}, {self.width}×{self.height}, {pace}{', looped' if self._loop else ''}"

    def _open(self) -> Capture:
        import cv2

        try:
            with Path(self.path).open("rb") as file:
                head = file.read(4096)
        except OSError as error:
            raise SourceError(f"Cannot read the video {self.path}: {error.strerror}.") from error
        # A file without a zero byte is text, which FFmpeg would "play" as a terminal.
        capture = None
        if b"\0" in head:
            backends = [cv2.CAP_FFMPEG, cv2.CAP_GSTREAMER, cv2.CAP_OPENCV_MJPEG]
            capture = open_capture(self.path, backends, name=self.path)
        if capture is None:
            raise SourceError(
                f"OpenCV cannot decode {self.path} as a video or picture. Convert it: MP4 with H.264, AVI with Motion "
                "JPEG, and JPEG or PNG pictures work everywhere."
            )
        return capture
