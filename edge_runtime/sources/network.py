"""RTSP and HTTP streams."""

from __future__ import annotations

import re

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Source
from edge_runtime.sources.opencv import Capture, CaptureSource, open_capture

TIMEOUT_S = 5.0
"""Timeout in seconds for connecting, and for each frame after that."""


class StreamSource(CaptureSource):
    """A network camera or another stream that FFmpeg can open. A password in the URL is never shown.

    Args:
        url: ``rtsp://…``, ``http://…`` or ``https://…``.

    Raises:
        SourceError: The stream cannot be opened.
    """

    kind = "stream"  # used in messages

    def __init__(self, url: str) -> None:
        import cv2

        self.url = url
        self.name = re.sub(r"//[^/@]*@", "//***@", url)
        super().__init__(self._open(), stopped=f"The {self.kind} {self.name} stopped sending frames.")
        # A file on a web server has an end; a camera does not.
        self.live = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) <= 0
        self.height = int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.width = int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.fps = self._capture.get(cv2.CAP_PROP_FPS)

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
                f"Cannot open the video stream {self.name}. Check the address, user name and network; "
                "'ffprobe' with the same address shows details."
            )
        return capture
