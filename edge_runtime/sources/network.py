"""RTSP and HTTP streams."""

from __future__ import annotations

import re

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Source
from edge_runtime.sources.opencv import Capture, open_capture
from edge_runtime.types import Frame

TIMEOUT_S = 5.0
"""For connecting, and for each picture after that."""


class StreamSource(Source):
    """A network camera or another stream that FFmpeg can open. A password in its address is never shown."""

    kind = "stream"  # for messages

    def __init__(self, url: str) -> None:
        """Connects and waits for the first picture.

        Args:
            url: ``rtsp://…``, ``http://…`` or ``https://…``.

        Raises:
            SourceError: Nothing answers there, or what answers is no video.
        """
        import cv2

        self.url = url
        self.name = re.sub(r"//[^/@]*@", "//***@", url)
        self._index = 0
        capture = self._open()
        self._capture = capture
        # A file on a web server has an end; a camera has none.
        self.live = capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        self.height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.fps = capture.get(cv2.CAP_PROP_FPS)

    def read(self) -> Frame | None:
        """See `Source.read`."""
        taken = self._capture.read()
        if taken is None:
            if not self.live or self._capture.closed:
                return None
            raise SourceError(f"The {self.kind} {self.name} stopped.")
        frame = Frame(taken[0], self._index, taken[1])
        self._index += 1
        return frame

    def close(self) -> None:
        """See `Source.close`."""
        self._capture.close()

    def reopen(self) -> Source:
        """See `Source.reopen`."""
        return type(self)(self.url)

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"{self.kind} {self.name}, {self.width}×{self.height}, {self.fps:g} fps"

    def _open(self) -> Capture:
        import cv2

        timeout_ms = int(TIMEOUT_S * 1000)
        parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        capture = open_capture(self.url, [cv2.CAP_FFMPEG], name=self.name, parameters=parameters) or open_capture(
            self.url, [cv2.CAP_GSTREAMER], name=self.name
        )
        if capture is None:
            raise SourceError(
                f"Expected a video stream at {self.name}, nothing that can be played answers there. Check the address, "
                "the user name and the network; 'ffprobe' with the same address says more."
            )
        return capture
