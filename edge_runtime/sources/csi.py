"""The Raspberry Pi camera module, through picamera2."""

from __future__ import annotations

import threading
import time
from typing import Any

from edge_runtime.errors import CameraError
from edge_runtime.sources.base import Source
from edge_runtime.types import Frame


class CsiSource(Source):
    """The Raspberry Pi camera module. It needs picamera2, which comes with Raspberry Pi OS and not from PyPI.

    Args:
        size: (height, width) to request; default (480, 640).
        fps: Frames per second to request; default 30.

    Raises:
        CameraError: picamera2 is not installed, or the camera module is missing or busy.
    """

    live = True

    def __init__(self, *, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        self._asked = (size, fps)
        self.height, self.width = size or (480, 640)
        self.fps = fps or 30.0

        self._reading = threading.Lock()
        self._closed = False
        self._camera: Any = self._open()

    def read(self) -> Frame | None:
        """See `Source.read`.

        Raises:
            CameraError: The camera module stopped sending frames.
        """
        try:
            with self._reading:
                if self._closed:
                    return None
                pixels = self._camera.capture_array("main")
                captured_at = time.monotonic()
        except Exception as error:  # libcamera's errors have no common base class
            raise CameraError(f"The camera module stopped sending frames ({error}). Check its ribbon cable.") from error
        finally:
            if self._closed:
                self._release()
        return self._frame(pixels, captured_at)

    def close(self) -> None:
        """See `Source.close`."""
        self._closed = True
        self._release()

    def reopen(self) -> Source:
        """See `Source.reopen`."""
        size, fps = self._asked
        return CsiSource(size=size, fps=fps)

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"camera module, {self.width}×{self.height}, {self.fps:g} fps"

    def _open(self) -> Any:
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraError(
                "The camera module needs picamera2, which cannot be imported. Run 'sudo apt install python3-picamera2' "
                "and create the virtual environment with --system-site-packages, or use a USB camera by its number."
            ) from error
        camera = None
        try:
            camera = Picamera2()
            # "RGB888" follows libcamera's naming; the bytes in memory are B, G, R.
            main = {"size": (self.width, self.height), "format": "RGB888"}
            camera.configure(camera.create_video_configuration(main=main, controls={"FrameRate": self.fps}))
            camera.start()
        except Exception as error:  # IndexError without a camera, RuntimeError for a busy one, among others
            if camera is not None:
                camera.close()
            raise CameraError(
                f"Cannot open the camera module ({error!r}). Close other programs that use it and check its ribbon "
                "cable; 'rpicam-hello --list-cameras' lists connected cameras."
            ) from error
        # libcamera may round the size to one that the sensor supports.
        self.width, self.height = camera.camera_configuration()["main"]["size"]
        return camera

    def _release(self) -> None:
        if self._reading.acquire(blocking=False):
            try:
                camera, self._camera = self._camera, None
                if camera is not None:
                    camera.stop()
                    camera.close()
            finally:
                self._reading.release()
