"""USB cameras, through Video4Linux and OpenCV."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import CameraError, SourceError
from edge_runtime.sources.base import Source
from edge_runtime.sources.opencv import Capture, open_capture, quiet_opencv
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

DEVICES = Path("/dev")
SYSFS = Path("/sys/class/video4linux")
# What the drivers of the Raspberry Pi's camera connector call their nodes. They give raw data of the sensor, or
# nothing, until libcamera has set them up.
_CSI_NODES = ("unicam", "bcm2835-isp", "rp1-cfe", "pispbe")


class CameraSource(Source):
    """A camera under ``/dev``.

    Motion JPEG is asked for first: without it a USB 2 camera is down to a few frames a second at larger sizes. A
    camera gives what it can: `describe` says what was negotiated.
    """

    live = True

    def __init__(self, device: int | str = 0, *, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        """Opens the camera and waits for its first picture.

        Args:
            device: Number N of ``/dev/videoN``, or a path. The number may be another one when a camera is plugged in
                again; a name under ``/dev/v4l/by-id`` stays, and is what `reopen` looks for then.
            size: (height, width) to ask for; None asks for (480, 640).
            fps: Frames per second to ask for; None asks for 30.

        Raises:
            CameraError: It is missing, busy, forbidden, sends no picture, or is a camera module.
        """
        self.path = f"/dev/video{device}" if isinstance(device, int) else device
        self._node = os.path.realpath(self.path)
        self._asked = (size, fps)
        self._index = 0
        self._capture = self._open(size or (480, 640), fps or 30.0)
        first = self._take()
        if first is None:
            self._capture.close()
            raise CameraError(
                f"Expected pictures from the camera {self.path}, it opens but sends none. It may be in use "
                f"('fuser -v {self.path}' says by whom) or need another size; 'v4l2-ctl --list-formats-ext' lists them."
            )
        self.height, self.width = first[0].shape[:2]
        # Now: while a picture is waited for, the camera can't be asked.
        self._description = self._negotiated()
        if size is not None and (self.height, self.width) != size:
            logger.warning(
                "Asked %s for %d×%d pixels, it gives %d×%d.", self.path, size[1], size[0], self.width, self.height
            )

    def read(self) -> Frame | None:
        """See `Source.read`."""
        taken = self._take()
        if taken is None:
            if self._capture.closed:
                return None
            raise CameraError(f"The camera {self.path} stopped sending pictures. Check its cable and power.")
        frame = Frame(taken[0], self._index, taken[1])
        self._index += 1
        return frame

    def close(self) -> None:
        """See `Source.close`."""
        self._capture.close()

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
                f"Expected a camera at {self.path}, there is none ({_present()}). Plug it in or name another."
            )
        if node_name := _csi_node(Path(self._node)):
            raise CameraError(
                f"Expected a USB camera at {self.path}, it is a node of the camera module ({node_name}), which OpenCV "
                "can't play. Use the source 'csi', which needs picamera2."
            )
        if not os.access(self.path, os.R_OK | os.W_OK):
            raise CameraError(
                f"Expected to be allowed to use {self.path}, permission is denied. Join its group, usually by "
                "'sudo usermod -aG video $USER', and log in again."
            )
        # OpenCV waits 10 s for a silent camera before it says so, and holds the device all that time.
        os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")
        settings = (
            (cv2.CAP_PROP_FRAME_WIDTH, size[1]),
            (cv2.CAP_PROP_FRAME_HEIGHT, size[0]),
            (cv2.CAP_PROP_FPS, fps),
        )
        capture = open_capture(self._node, [cv2.CAP_V4L2], name=self.path)
        if capture is None:
            raise CameraError(
                f"Expected a camera that is free at {self.path}, it can't be opened. Another program may hold it "
                f"('fuser -v {self.path}' says which), or it is no camera ({_present()}; 'v4l2-ctl --list-devices')."
            )
        with quiet_opencv():
            # The order counts: a size is only good for the pixel format that is set when it is asked for.
            capture.choose_pixel_format("MJPG", "YUYV")
            for key, value in settings:
                capture.set(key, value)
        return capture


def _csi_node(node: Path) -> str:
    """The name of the node if it belongs to the camera module, else nothing."""
    try:
        name = (SYSFS / node.name / "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return name if name.startswith(_CSI_NODES) else ""


def _present() -> str:
    devices = sorted(str(path) for path in DEVICES.glob("video*"))
    if not devices:
        return "there is no /dev/video* at all"
    # A camera has more than one node; pictures come from its first.
    stable = sorted(str(path) for path in (DEVICES / "v4l/by-id").glob("*-index0"))
    names = f"; by names that stay the same: {', '.join(stable)}" if stable else ""
    return f"present: {', '.join(devices)}{names}"
