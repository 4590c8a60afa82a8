"""The frame gate: every N-th frame, a maximum rate, and few frames while nothing moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import RulesError
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Width and height to which frames are shrunk before they are compared; averaging over a cell removes most noise.
_CELLS = (32, 24)
_EARLY = 0.1  # fraction of a period by which a frame may be early: cameras jitter by milliseconds


@dataclass(frozen=True)
class GateRules:
    """Rules that select the frames to classify; all others are skipped.

    Attributes:
        every: Classify every N-th frame, at least 1.
        max_fps: Maximum number of classified frames per second; None for no limit.
        idle_after_s: Seconds without motion after which the loop idles; None to never idle.
        idle_interval_s: Seconds between classified frames while the loop idles.
        idle_change: Change of a cell's mean since the last classified frame that counts as motion, above 0, in pixel
            units. A cell is a 32nd of the frame's width by a 24th of its height.

    Raises:
        RulesError: A value is out of range.
    """

    every: int = 1
    max_fps: float | None = None
    idle_after_s: float | None = None
    idle_interval_s: float = 2.0
    idle_change: float = 10.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise RulesError(f"every must be at least 1, got {self.every}.")
        for name in ("max_fps", "idle_after_s", "idle_interval_s", "idle_change"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RulesError(f"{name} must be greater than 0, got {value:g}.")


class FrameGate:
    """Decides for each frame whether it is classified, by the frames' own times alone."""

    def __init__(self, rules: GateRules) -> None:
        self._rules = rules
        self._index: int | None = None  # of the last classified frame
        self._at = float("-inf")  # its time
        self._due = float("-inf")
        self._cells: NDArray[np.int16] | None = None  # its cells, only if idle_after_s is set
        self._moved_at: float | None = None

    def wants(self, frame: Frame) -> bool:
        """Return whether to classify this frame; if so, it becomes the reference for the next ones."""
        if not (self._has_its_turn(frame) and self._is_due(frame) and self._is_news(frame)):
            return False
        if self._rules.max_fps is not None:
            period_s = 1 / self._rules.max_fps
            # Count from the due time, so that the average rate is right, but don't catch up on missed frames.
            self._due = (self._due if frame.at < self._due + period_s else frame.at) + period_s
        self._index, self._at = frame.index, frame.at
        return True

    def _has_its_turn(self, frame: Frame) -> bool:
        # A reopened source restarts its index at 0.
        return self._index is None or not self._index < frame.index < self._index + self._rules.every

    def _is_due(self, frame: Frame) -> bool:
        return self._rules.max_fps is None or frame.at >= self._due - _EARLY / self._rules.max_fps

    def _is_news(self, frame: Frame) -> bool:
        """Return whether something moved recently, or the idle interval is over."""
        if self._rules.idle_after_s is None:
            return True
        cells = _shrunk(frame.pixels)
        before, self._cells = self._cells, cells
        if before is None or before.shape != cells.shape or abs(cells - before).max() >= self._rules.idle_change:
            self._moved_at = frame.at
        assert self._moved_at is not None
        if frame.at - self._moved_at < self._rules.idle_after_s or frame.at - self._at >= self._rules.idle_interval_s:
            return True
        self._cells = before  # keep the reference, so that slow changes add up
        return False


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    import cv2
    import numpy as np

    shrunk: NDArray[np.uint8] = cv2.resize(pixels, _CELLS, interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.int16)
