"""How fast a source delivers."""

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
    """Reads a source as fast as it gives, and does nothing else meanwhile.

    Args:
        source: Open; it stays so.
        seconds: How long.
        seed: Of the bootstrap.

    Returns:
        What it gave, and the last frame: uint8 (H, W, 3) BGR.

    Raises:
        SourceError: It gave no frame, or failed.
    """
    started = time.monotonic()
    frame = source.read()
    turns: list[list[float]] = []
    first_ms = (time.monotonic() - started) * 1e3
    if frame is None:
        raise SourceError(f"Expected at least one frame from {source.describe()}, got none.")
    # The first frame wakes the device up and isn't counted, unless it is the only one.
    while len(turns) < MOST_FRAMES and time.monotonic() - started < seconds:
        asked = time.monotonic()
        following = source.read()
        if following is None:
            break
        turns.append([(time.monotonic() - asked) * 1e3])
        frame = following
    timing = summarize(turns or [[first_ms]], seed=seed)
    return Capture(source.describe(), source.live, timing), frame.pixels
