"""GStreamer pipelines, for OpenCV builds with GStreamer."""

from __future__ import annotations

import re

from edge_runtime.errors import SourceError
from edge_runtime.sources.network import StreamSource
from edge_runtime.sources.opencv import Capture, open_capture


class PipelineSource(StreamSource):
    """A GStreamer pipeline that ends in an ``appsink``, for example ``"v4l2src ! videoconvert ! appsink"``.

    OpenCV's wheels on PyPI lack GStreamer; the package ``python3-opencv`` of Debian and Raspberry Pi OS has it. A
    pipeline counts as live: the live loop reopens it if it stops.

    Args:
        url: Pipeline in the syntax of ``gst-launch-1.0``, ending in ``appsink``.

    Raises:
        SourceError: This OpenCV lacks GStreamer, or the pipeline cannot be started.
    """

    kind = "pipeline"

    def _open(self) -> Capture:
        import cv2

        if not re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()):
            raise SourceError(
                f"The pipeline {self.name!r} needs an OpenCV with GStreamer, but this one ({cv2.__version__}) was "
                "built without it. Run 'sudo apt install python3-opencv' and use a virtual environment with "
                "--system-site-packages and without the OpenCV wheel; or use a camera, 'csi', a file or a stream URL."
            )
        if "appsink" not in self.url:
            raise SourceError(
                f"The pipeline {self.name!r} does not end in an appsink. Append '! videoconvert ! appsink'."
            )
        capture = open_capture(self.url, [cv2.CAP_GSTREAMER], name=self.name)
        if capture is None:
            raise SourceError(
                f"GStreamer cannot play the pipeline {self.name!r}. Run it with 'gst-launch-1.0' to see the reason."
            )
        return capture
