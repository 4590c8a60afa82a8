"""Percentiles and intervals of times that were taken in rounds.

A ratio is taken within each process, over the same rounds, and of these ratios the median counts (Kalibera and Jones,
"Rigorous benchmarking in reasonable time", 2013). Intervals are percentile intervals of a bootstrap (Efron, 1979) of
processes and, within them, of rounds.

Of a process's turns, the lower decile stands for a model: what else goes on in a machine, in its caches and with its
clock, only ever adds time (Chen and Revels, "Robust benchmarking in noisy environments", 2016), and to the one model
more than to the other. The mean of a turn's runs, because a scheduler that gives half of a core away takes half of each
turn's time, whether in one long run or between many short ones: the least of the short ones would not see it, and that
of the long ones would.
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
QUIET_PERCENT = 10
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


def speedup(costs: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], *, seed: int = 0) -> Speedup:
    """How many times as fast as the baseline.

    Args:
        costs: Milliseconds of each turn; a list for each process.
        baseline: The same, from the same processes and rounds.
        seed: Of the bootstrap.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    ratios, resampled = [], []
    for own, other in zip(costs, baseline, strict=True):
        # In an order of their own, so that the same rounds give the same interval in whichever order they came.
        pairs = np.array(sorted(zip(own, other, strict=True)))
        picks = pairs[rng.integers(0, len(pairs), (RESAMPLES, len(pairs)))]
        ratios.append(_quiet_ratio(pairs))
        resampled.append(_quiet_ratio(picks))
    shape = (RESAMPLES, len(ratios))
    processes, draws = rng.integers(0, len(ratios), shape), rng.integers(0, RESAMPLES, shape)
    ratio = float(np.median(ratios))
    low, high = np.percentile(np.median(np.array(resampled)[processes, draws], axis=1), (2.5, 97.5))
    return Speedup(ratio, min(float(low), ratio), max(float(high), ratio))


def _quiet_ratio(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The baseline's lower decile over the model's, from (…, rounds, 2)."""
    import numpy as np

    own, other = np.moveaxis(np.percentile(pairs, QUIET_PERCENT, axis=-2), -1, 0)
    ratio: NDArray[np.float64] = other / own
    return ratio


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
