"""USB cameras, through Video4Linux and OpenCV."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import CameraError, SourceError
from edge_runtime.sources.base import Source
from edge_runtime.sources.opencv import Capture, CaptureSource, open_capture, quiet_opencv

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

DEVICES = Path("/dev")
SYSFS = Path("/sys/class/video4linux")
# Device names of the Raspberry Pi's camera connector. These nodes deliver raw sensor data, or nothing, until libcamera
# has configured them.
_CSI_NODES = ("unicam", "bcm2835-isp", "rp1-cfe", "pispbe")


class CameraSource(CaptureSource):
    """A USB camera under ``/dev``; opening it waits for the first frame.

    Motion JPEG is preferred: without it a USB 2 camera sends only a few frames per second at larger sizes. The camera
    may use another size or rate than requested; `describe` returns the actual ones.

    Args:
        device: Number N of ``/dev/videoN``, or a path. The number may change when the camera is plugged in again; a
            name under ``/dev/v4l/by-id`` stays the same, also for `reopen`.
        size: (height, width) to request; default (480, 640).
        fps: Frames per second to request; default 30.

    Raises:
        CameraError: The camera is missing, busy, not permitted or silent, or it is a Raspberry Pi camera module.
    """

    live = True
    error = CameraError

    def __init__(self, device: int | str = 0, *, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        self.path = f"/dev/video{device}" if isinstance(device, int) else device
        self._node = os.path.realpath(self.path)
        self._asked = (size, fps)
        super().__init__(
            self._open(size or (480, 640), fps or 30.0),
            stopped=f"The camera {self.path} stopped sending frames. Check its cable and power.",
        )
        first = self._take()
        if first is None:
            self._capture.close()
            raise CameraError(
                f"The camera {self.path} opens but sends no frames. Another program may be using it ('fuser -v "
                f"{self.path}' shows which), or choose another frame size ('v4l2-ctl --list-formats-ext' lists them)."
            )
        self.height, self.width = first[0].shape[:2]
        # Query it now: the camera cannot be queried while a read is waiting.
        self._description = self._negotiated()
        if size is not None and (self.height, self.width) != size:
            logger.warning(
                "Camera %s sends %d×%d pixels instead of %d×%d.", self.path, self.width, self.height, size[1], size[0]
            )

    def reopen(self) -> Source:
        """See `Source.reopen`."""
        size, fps = self._asked
        return CameraSource(self.path, size=size, fps=fps)

    def describe(self) -> str:
        """See `Source.describe`."""
        return self._description

    def _negotiated(self) -> str:
        import cv2

        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        letters = "".join(chr(code >> shift & 0xFF) for shift in (0, 8, 16, 24))
        pixels = letters if letters.isprintable() else "unknown format"
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        name = self.path if self._node == self.path else f"{self.path} ({self._node})"
        return f"camera {name}, {self.width}×{self.height}, {pixels}, {rate:g} fps"

    def _take(self) -> tuple[NDArray[np.uint8], float] | None:
        try:
            return self._capture.read()
        except SourceError as error:
            self._capture.close()
            raise CameraError(str(error)) from error

    def _open(self, size: tuple[int, int], fps: float) -> Capture:
        import cv2

        if not Path(self.path).exists():
            raise CameraError(
                f"There is no camera at {self.path} ({_present()}). Plug it in, or choose another source."
            )
        if node_name := _csi_node(Path(self._node)):
            raise CameraError(
                f"{self.path} belongs to the Raspberry Pi camera module ({node_name}), which OpenCV cannot read. "
                "Use the source 'csi', which needs picamera2."
            )
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise CameraError(
                f"Permission denied for {self.path}. Add yourself to its group, usually with "
                "'sudo usermod -aG video $USER', and log in again."
            )
        # By default OpenCV waits 10 s for a silent camera and holds the device all that time.
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
        settings = (
            (cv2.CAP_PROP_FRAME_WIDTH, size[1]),
            (cv2.CAP_PROP_FRAME_HEIGHT, size[0]),
            (cv2.CAP_PROP_FPS, fps),
        )
        capture = open_capture(self._node, [cv2.CAP_V4L2], name=self.path)
        if capture is None:
            raise CameraError(
                f"Cannot open the camera {self.path}. Another program may be using it ('fuser -v {self.path}' shows "
                f"which), or it is not a camera ('v4l2-ctl --list-devices' lists cameras; {_present()})."
            )
        with quiet_opencv():
            # The format must come first: a size applies to the current pixel format.
            capture.choose_pixel_format("MJPG", "YUYV")
            for key, value in settings:
                capture.set(key, value)
        return capture


def _csi_node(node: Path) -> str:
    """Return the node's device name if it belongs to the camera module, else ""."""
    try:
        name = (SYSFS / node.name / "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return name if name.startswith(_CSI_NODES) else ""


def _present() -> str:
    devices = sorted(str(path) for path in DEVICES.glob("video*"))
    if not devices:
        return "no /dev/video* exists"
    # A camera has several nodes; the first one delivers frames.
    stable = sorted(str(path) for path in (DEVICES / "v4l/by-id").glob("*-index0"))
    names = f"; permanent names: {', '.join(stable)}" if stable else ""
    return f"found: {', '.join(devices)}{names}"
