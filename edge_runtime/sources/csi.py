"""The Raspberry Pi camera module, through picamera2."""

from __future__ import annotations

import threading
import time
from typing import Any

from edge_runtime.errors import CameraError
from edge_runtime.sources.base import Source
from edge_runtime.types import Frame


class CsiSource(Source):
    """A camera on the board's camera connector. picamera2 comes with Raspberry Pi OS, not from PyPI."""

    live = True

    def __init__(self, *, size: tuple[int, int] | None = None, fps: float | None = None) -> None:
        """Opens the camera module and starts it.

        Args:
            size: (height, width); None is (480, 640).
            fps: Frames per second; None is 30.

        Raises:
            CameraError: picamera2 isn't installed, or there is no camera module, or it is busy.
        """
        self._asked = (size, fps)
        self.height, self.width = size or (480, 640)
        self.fps = fps or 30.0
        self._index = 0
        self._reading = threading.Lock()
        self._closed = False
        self._camera: Any = self._open()

    def read(self) -> Frame | None:
        """See `Source.read`."""
        try:
            with self._reading:
                if self._closed:
                    return None
                pixels = self._camera.capture_array("main")
                captured_at = time.monotonic()
        except Exception as error:  # libcamera's errors have no common base
            raise CameraError(
                f"The camera module stopped sending pictures ({error}). Check its ribbon cable."
            ) from error
        finally:
            if self._closed:
                self._release()
        frame = Frame(pixels, self._index, captured_at)
        self._index += 1
        return frame

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
                "Expected picamera2 for the camera module, it can't be imported. Install it by "
                "'sudo apt install python3-picamera2', make the virtual environment with --system-site-packages, "
                "or use a USB camera by its number."
            ) from error
        camera = None
        try:
            camera = Picamera2()
            # "RGB888" names libcamera's order; the bytes in memory are B, G, R.
            main = {"size": (self.width, self.height), "format": "RGB888"}
            camera.configure(camera.create_video_configuration(main=main, controls={"FrameRate": self.fps}))
            camera.start()
        except Exception as error:  # IndexError without a camera, RuntimeError for a busy one
            if camera is not None:
                camera.close()
            raise CameraError(
                f"Expected a free camera module, got {error!r}. 'rpicam-hello --list-cameras' lists what is connected."
            ) from error
        # libcamera may round the size to what the sensor's pipeline can do.
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
