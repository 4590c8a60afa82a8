"""Frame rate of a source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge_runtime.benchmark.report import Capture
from edge_runtime.benchmark.timing.statistics import summarize
from edge_runtime.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.sources.base import Source

MOST_FRAMES = 500


def measure_capture(source: Source, *, seconds: float = 3.0, seed: int = 0) -> tuple[Capture, NDArray[np.uint8]]:
    """Read a source as fast as it delivers.

    Args:
        source: Open source, which is left open.
        seconds: Maximum duration.
        seed: Seed of the bootstrap.

    Returns:
        The measured frame rate, and the last frame: uint8 (H, W, 3) BGR, 0–255.

    Raises:
        SourceError: The source delivered no frame, or failed.
    """
    started = time.monotonic()
    frame = source.read()
    turns: list[list[float]] = []
    first_ms = (time.monotonic() - started) * 1e3
    if frame is None:
        raise SourceError(f"No frames from {source.describe()}. Check the source, or choose another one.")
    # The first frame includes waking up the device and counts only if it is the only one.
    while len(turns) < MOST_FRAMES and time.monotonic() - started < seconds:
        asked = time.monotonic()
        following = source.read()
        if following is None:
            break
        turns.append([(time.monotonic() - asked) * 1e3])
        frame = following
    timing = summarize(turns or [[first_ms]], seed=seed)
    return Capture(source.describe(), source.live, timing), frame.pixels
