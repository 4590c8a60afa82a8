"""Percentiles and intervals of times that were taken in rounds.

Ratios are taken within each round (pairing, as in Kalibera and Jones, "Rigorous benchmarking in reasonable time",
2013); intervals are percentile intervals of a bootstrap over rounds (Efron, 1979).

A ratio is that of the turns' means, and of these the median over rounds. The mean, because a scheduler that gives half
of a core away takes half of each turn's time, whether in one long run or between many short ones: the median of the
short ones would not see it, and that of the long ones would. The median, because it shrugs off a round in which
something else took the machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_runtime.benchmark.result import Speedup, Timing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
_Z = 1.959964  # 97.5% of a normal distribution lies below

Turns = Sequence[Sequence[float]]
"""Times in milliseconds: one list for each round."""


def summarize(turns: Turns, *, seed: int = 0) -> Timing:
    """The percentiles of some times, and the interval of their median."""
    import numpy as np

    times = [ms for turn in turns for ms in turn]
    p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
    medians = np.array([np.median(turn) for turn in turns])
    low, high = _bootstrap(medians, seed)
    # The median of all is not quite the median of the rounds' medians: the interval holds both.
    return Timing(len(times), float(np.mean(times)), min(times), p50, p90, p99, min(low, p50), max(high, p50))


def speedup(turns: Turns, baseline: Turns, *, seed: int = 0) -> Speedup:
    """How many times as fast as the baseline, from times in the same rounds."""
    import numpy as np

    own = np.array([np.mean(turn) for turn in turns])
    other = np.array([np.mean(turn) for turn in baseline])
    ratios = other / own
    low, high = _bootstrap(ratios, seed)
    return Speedup(float(np.median(ratios)), low, high)


def _bootstrap(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """The 95% interval of the values' median."""
    import numpy as np

    # In order of size, so that the same values give the same interval in whichever order they came.
    ordered = np.sort(values)
    picks = np.random.default_rng(seed).integers(0, len(ordered), (RESAMPLES, len(ordered)))
    low, high = np.percentile(np.median(ordered[picks], axis=1), (2.5, 97.5))
    return float(low), float(high)


def share_interval(right: int, count: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson, 1927), 0–1."""
    share, square = right / count, _Z**2 / count
    middle = share + square / 2
    reach = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))
