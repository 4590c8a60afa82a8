"""A generated moving scene, for tests, demos and device scripts without a camera."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

from edge_runtime.sources.base import Pace, Pacer, Source
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHAPES = 6


class SyntheticSource(Source):
    """Shapes that move over an unevenly lit background. The same seed and index give the same frame.

    Args:
        size: (height, width) of the frames.
        fps: Frames per second of the scene, also with ``pace="realtime"``.
        pace: ``"fast"`` or ``"realtime"``.
        count: Number of frames; None for an endless scene.
        seed: Random seed of the scene.
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] = (480, 640),
        fps: float = 30.0,
        pace: Pace = "fast",
        count: int | None = None,
        seed: int = 0,
    ) -> None:
        import cv2
        import numpy as np

        self.paced = pace == "realtime"
        self.height, self.width = size
        self.fps = fps
        self._count = count

        self._closed = threading.Event()
        self._pacer = Pacer(self._closed)
        random = np.random.default_rng(seed)
        coarse = random.integers(60, 190, (6, 8, 3), np.uint8)
        light = cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        grain = random.integers(0, 12, (self.height, self.width, 1), np.uint8)
        self._background: NDArray[np.uint8] = cv2.add(light, np.repeat(grain, 3, axis=2))
        # For each shape: color (3), radius, starting phase (2) and angular speed (2).
        self._colors = random.integers(0, 256, (_SHAPES, 3)).tolist()
        self._sizes = random.uniform(0.05, 0.16, _SHAPES).tolist()
        self._phases = random.uniform(0, 2 * math.pi, (_SHAPES, 2)).tolist()
        self._speeds = random.uniform(0.3, 1.5, (_SHAPES, 2)).tolist()

    def read(self) -> Frame | None:
        """See `Source.read`."""
        if self._closed.is_set() or self._index == self._count:
            return None
        pixels = self.draw(self._index)
        if self.paced:
            self._pacer.wait(1 / self.fps)
            if self._closed.is_set():
                return None
        return self._frame(pixels, time.monotonic(), position_s=self._index / self.fps)

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()

    def describe(self) -> str:
        """See `Source.describe`."""
        pace = f"at {self.fps:g} fps" if self.paced else "as fast as possible"
        return f"synthetic scene, {self.width}×{self.height}, {pace}"

    def draw(self, index: int) -> NDArray[np.uint8]:
        """Return frame ``index`` of the scene: uint8 (height, width, 3) BGR, 0–255."""
        import cv2

        canvas: NDArray[np.uint8] = self._background.copy()
        seconds = index / self.fps
        for shape in range(_SHAPES):
            (phase_x, phase_y), (speed_x, speed_y) = self._phases[shape], self._speeds[shape]
            x = int(self.width * (0.5 + 0.42 * math.sin(phase_x + speed_x * seconds)))
            y = int(self.height * (0.5 + 0.42 * math.sin(phase_y + speed_y * seconds)))
            radius = int(self._sizes[shape] * self.height)
            color = self._colors[shape]
            if shape % 3 == 0:
                cv2.circle(canvas, (x, y), radius, color, -1, cv2.LINE_AA)
            elif shape % 3 == 1:
                cv2.rectangle(canvas, (x - radius, y - radius), (x + radius, y + radius), color, -1)
            else:
                angle = math.degrees(phase_x) + 40 * seconds
                cv2.ellipse(canvas, (x, y), (radius, radius // 3), angle, 0, 360, color, -1, cv2.LINE_AA)
        return canvas
