"""Which frames the network looks at: each N-th, so many a second, and hardly any while nothing moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import RulesError
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Width and height to which pictures are shrunk before they are compared: the mean over a cell has little noise left.
_CELLS = (32, 24)
_EARLY = 0.1  # share of a period that a frame may come too early by: cameras aren't on time to the millisecond


@dataclass(frozen=True)
class GateRules:
    """Which frames are classified; the others are skipped.

    Attributes:
        every: Each how manieth frame of the source.
        max_fps: Frames per second at most; None has no limit.
        idle_after_s: After how many seconds without a change in the picture the loop idles; None never idles.
        idle_interval_s: While it idles, a frame is classified this often all the same.
        idle_change: How much the mean of a cell (a 32nd of the width, a 24th of the height) must differ from the frame
            that was classified last to count as a change, 0–255.
    """

    every: int = 1
    max_fps: float | None = None
    idle_after_s: float | None = None
    idle_interval_s: float = 2.0
    idle_change: float = 10.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise RulesError(f"Expected every to be at least 1, got {self.every}.")
        for name in ("max_fps", "idle_after_s", "idle_interval_s", "idle_change"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RulesError(f"Expected {name} above 0, got {value:g}.")


class FrameGate:
    """Says of one frame after the other whether it is to be classified. It has no clock but the frames' own."""

    def __init__(self, rules: GateRules) -> None:
        self._rules = rules
        self._index: int | None = None  # of the frame that was classified last
        self._at = float("-inf")  # its time
        self._due = float("-inf")
        self._cells: NDArray[np.int16] | None = None  # its cells, while the loop may idle
        self._moved_at: float | None = None

    def wants(self, frame: Frame) -> bool:
        """Whether this frame is to be classified; if so, it is the one that the next ones are compared with."""
        if not (self._has_its_turn(frame) and self._is_due(frame) and self._is_news(frame)):
            return False
        if self._rules.max_fps is not None:
            period_s = 1 / self._rules.max_fps
            # From when it was due, so that the rate is met on average; but what was missed isn't caught up with.
            self._due = (self._due if frame.at < self._due + period_s else frame.at) + period_s
        self._index, self._at = frame.index, frame.at
        return True

    def _has_its_turn(self, frame: Frame) -> bool:
        # A source that was reopened begins to count anew.
        return self._index is None or not self._index < frame.index < self._index + self._rules.every

    def _is_due(self, frame: Frame) -> bool:
        return self._rules.max_fps is None or frame.at >= self._due - _EARLY / self._rules.max_fps

    def _is_news(self, frame: Frame) -> bool:
        """Whether something moved lately, or so much time has passed that it is worth a look."""
        if self._rules.idle_after_s is None:
            return True
        cells = _shrunk(frame.pixels)
        before, self._cells = self._cells, cells
        if before is None or before.shape != cells.shape or abs(cells - before).max() >= self._rules.idle_change:
            self._moved_at = frame.at
        assert self._moved_at is not None
        if frame.at - self._moved_at < self._rules.idle_after_s or frame.at - self._at >= self._rules.idle_interval_s:
            return True
        self._cells = before  # what creeps in slowly adds up
        return False


def _shrunk(pixels: NDArray[np.uint8]) -> NDArray[np.int16]:
    import cv2
    import numpy as np

    shrunk: NDArray[np.uint8] = cv2.resize(pixels, _CELLS, interpolation=cv2.INTER_AREA)
    return shrunk.astype(np.int16)
