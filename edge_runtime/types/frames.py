"""A frame of a source, the part of it that is looked at, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.errors import RulesError
from edge_runtime.types.answers import Decision, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture and where it came from.

    Attributes:
        pixels: uint8 (H, W, 3) BGR, 0–255. It is the frame's own: no later frame is written into it.
        index: Frames that the source delivered before this one.
        captured_at: When it was taken, by `time.monotonic`, in seconds.
        name: Of the file, relative to its folder; empty for a camera, a stream, a video or a drawn frame.
        position_s: When it is shown, from the start of a video or a drawn scene; None where time is the clock's.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    index: int
    captured_at: float
    name: str = ""
    position_s: float | None = None

    @property
    def at(self) -> float:
        """In seconds: the time that passes in the pictures, however fast a file is played."""
        return self.captured_at if self.position_s is None else self.position_s


@dataclass(frozen=True)
class Region:
    """The part of a frame that is looked at, in shares of its size.

    Attributes:
        left: Of the frame's width, 0–1.
        top: Of the frame's height, 0–1.
        width: Of the frame's width; with ``left`` at most 1.
        height: Of the frame's height; with ``top`` at most 1.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        inside = min(self.left, self.top) >= 0 and self.left + self.width <= 1 and self.top + self.height <= 1
        if not inside or not min(self.width, self.height) > 0:
            raise RulesError(
                "Expected a region inside of the frame as left, top, width, height, each a share from 0 to 1, got "
                f"{self.left:g}, {self.top:g}, {self.width:g}, {self.height:g}."
            )

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Its pixels, at least one: a view, nothing is copied.

        Args:
            pixels: uint8 (H, W, 3) or (H, W).
        """
        rows, columns = pixels.shape[:2]
        top, left = min(round(self.top * rows), rows - 1), min(round(self.left * columns), columns - 1)
        bottom, right = round((self.top + self.height) * rows), round((self.left + self.width) * columns)
        return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


@dataclass(frozen=True)
class Counters:
    """What became of the frames of a source, since the live loop began.

    Each captured frame ends in one of the next five; one or two may still be under way.

    Attributes:
        captured: Read from the source.
        classified: Answered by the network.
        dropped: Replaced by a newer one before the classifier was free.
        skipped: Left out by the gate: not its turn, or nothing moved.
        repeated: The same picture as the one before, to the byte, from a live source: not a new frame.
        malformed: Not a picture: another shape or type.
        reconnects: How often the source was reopened.
    """

    captured: int = 0
    classified: int = 0
    dropped: int = 0
    skipped: int = 0
    repeated: int = 0
    malformed: int = 0
    reconnects: int = 0

    def to_dict(self) -> dict[str, int]:
        """As JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class LiveResult:
    """One frame of a stream and what is said about it.

    Attributes:
        frame: With its pixels, uint8 (H, W, 3) BGR: all of it, also where only a region was looked at.
        prediction: What the network says about this frame alone.
        time: When it was decided, in seconds since 1970 (UTC).
        age_ms: From capture to decision.
        fps: Decisions per second, over the last second or the last two decisions; 0 for the first.
        counters: What became of all the frames so far, this one included.
        decision: What is in view, over time; None where `live` was given no rules for it.
    """

    frame: Frame = field(repr=False)
    prediction: Prediction
    time: float
    age_ms: float
    fps: float
    counters: Counters
    decision: Decision | None = None
