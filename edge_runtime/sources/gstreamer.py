"""GStreamer pipelines, where OpenCV was built with GStreamer."""

from __future__ import annotations

import re

from edge_runtime.errors import SourceError
from edge_runtime.sources.network import StreamSource
from edge_runtime.sources.opencv import Capture, open_capture


class PipelineSource(StreamSource):
    """A GStreamer pipeline that ends in an ``appsink``, for example ``"v4l2src ! videoconvert ! appsink"``.

    OpenCV's wheels on PyPI come without GStreamer; those of Debian and Raspberry Pi OS (``python3-opencv``) have it.
    It has no end: one that stops is reopened by the live loop.
    """

    kind = "pipeline"

    def __init__(self, pipeline: str) -> None:
        """Starts the pipeline.

        Args:
            pipeline: As ``gst-launch-1.0`` takes it, with an ``appsink`` at its end.

        Raises:
            SourceError: This OpenCV can't play pipelines, or not this one.
        """
        super().__init__(pipeline)

    def _open(self) -> Capture:
        import cv2

        if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
            raise SourceError(
                f"Expected an OpenCV with GStreamer for the pipeline {self.name!r}, this one ({cv2.__version__}) was "
                "built without it. Install the one that has it by 'sudo apt install python3-opencv', make the virtual "
                "environment with --system-site-packages and leave OpenCV's wheel out of it; or name a camera, 'csi', "
                "a file or a stream by itself."
            )
        if "appsink" not in self.url:
            raise SourceError(
                f"Expected a pipeline that ends in an appsink, got {self.name!r}. Put '! videoconvert ! appsink' "
                "at its end."
            )
        capture = open_capture(self.url, [cv2.CAP_GSTREAMER], name=self.name)
        if capture is None:
            raise SourceError(
                f"Expected a pipeline that GStreamer can play, got {self.name!r}. 'gst-launch-1.0' with the same words "
                "says what is wrong with it."
            )
        return capture
