"""Frames of a source, the region of interest, and the result for each frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.errors import RulesError
from edge_runtime.types.predictions import Decision, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture from a source.

    Attributes:
        pixels: uint8 (H, W, 3) BGR, 0–255. The buffer belongs to this frame and is never reused for a later one.
        index: Number of frames that the source delivered before this one.
        captured_at: Capture time by `time.monotonic`, in seconds.
        name: File name relative to its folder; empty for cameras, streams, videos and synthetic frames.
        position_s: Seconds from the start of a video or synthetic scene; None for sources that follow the clock.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    index: int
    captured_at: float
    name: str = ""
    position_s: float | None = None

    @property
    def at(self) -> float:
        """Time within the recording, in seconds, regardless of how fast a file is played."""
        return self.captured_at if self.position_s is None else self.position_s


@dataclass(frozen=True)
class Region:
    """Region of interest, as fractions of the frame's size.

    Attributes:
        left: Left edge, as a fraction of the frame's width, 0–1.
        top: Upper edge, as a fraction of the frame's height, 0–1.
        width: Width as a fraction of the frame's width, above 0; ``left + width`` is at most 1.
        height: Height as a fraction of the frame's height, above 0; ``top + height`` is at most 1.

    Raises:
        RulesError: The region is empty or reaches beyond the frame.
    """

    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        inside = min(self.left, self.top) >= 0 and self.left + self.width <= 1 and self.top + self.height <= 1
        if not inside or not min(self.width, self.height) > 0:
            raise RulesError(
                f"The region {self.left:g}, {self.top:g}, {self.width:g}, {self.height:g} is not inside the frame. "
                "Give left, top, width, height as fractions of the frame from 0 to 1."
            )

    def of(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the region's pixels as a view of the frame.

        Args:
            pixels: uint8 (H, W, 3) or (H, W), 0–255.

        Returns:
            uint8 view of at least one pixel, same channels as ``pixels``.
        """
        rows, columns = pixels.shape[:2]
        top, left = min(round(self.top * rows), rows - 1), min(round(self.left * columns), columns - 1)
        bottom, right = round((self.top + self.height) * rows), round((self.left + self.width) * columns)
        return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


@dataclass(frozen=True)
class Counters:
    """Frame counts since the live loop started.

    Each captured frame ends up in one of the next five counts; one or two may still be in progress.

    Attributes:
        captured: Frames read from the source.
        classified: Frames classified by the network.
        dropped: Frames replaced by a newer one before the classifier was free.
        skipped: Frames skipped by the frame gate: not every N-th, above the maximum rate, or no motion.
        repeated: Frames of a live source that equal the one before, byte for byte.
        malformed: Frames with the wrong shape or dtype.
        reconnects: Number of times that the source was reopened.
    """

    captured: int = 0
    classified: int = 0
    dropped: int = 0
    skipped: int = 0
    repeated: int = 0
    malformed: int = 0
    reconnects: int = 0

    def to_dict(self) -> dict[str, int]:
        """Return a JSON-serializable dict."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class LiveResult:
    """The result for one classified frame of a stream.

    Attributes:
        frame: The whole frame, uint8 (H, W, 3) BGR, even if only a region was classified.
        prediction: Prediction for this frame alone.
        time: Time of the result, in seconds since 1970 (UTC).
        age_ms: Time from capture to result.
        fps: Throughput over the last second or the last two results; 0 for the first result.
        counters: Frame counts so far, including this frame.
        decision: Class in view over time; None if `live` was called without ``decision``.
    """

    frame: Frame = field(repr=False)
    prediction: Prediction
    time: float
    age_ms: float
    fps: float
    counters: Counters
    decision: Decision | None = None
