"""Percentiles and intervals of times that were taken in rounds.

In a ratio, the lowest twentieth of a model's turns, of all processes together, stands for it: what else goes on in a
machine, in its caches and with its clock, only ever adds time (Chen and Revels, "Robust benchmarking in noisy
environments", 2016), and to the one model more than to the other. Another machine's work on the same core, which no
program here can see, was found to cost one network 38% and another 27%, for a second or for minutes; in a process of
its own, each model has its quiet turns, but not always enough of them for a ratio within it. The mean of a turn's runs,
because a scheduler that gives half of a core away takes half of each turn's time, whether in one long run or between
many short ones: the least of the short ones would not see it, and that of the long ones would.

Intervals are percentile intervals of a bootstrap (Efron, 1979) of processes and, within them, of rounds (Kalibera and
Jones, "Rigorous benchmarking in reasonable time", 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_runtime.benchmark.report import Speedup, Timing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 2000
_RESAMPLES_AT_ONCE = 200
QUIET_PERCENT = 5
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

    # In an order of their own, so that the same rounds give the same interval in whichever order they came.
    processes = [sorted(zip(own, other, strict=True)) for own, other in zip(costs, baseline, strict=True)]
    pairs = np.array([pair for process in processes for pair in process])
    rng = np.random.default_rng(seed)
    counts = [len(process) for process in processes]
    resampled = np.concatenate(
        [_quiet_ratio(pairs, _resampled_weights(counts, rng)) for _ in range(RESAMPLES // _RESAMPLES_AT_ONCE)]
    )
    ratio = float(_quiet_ratio(pairs, np.ones((1, len(pairs)), np.int64))[0])
    low, high = (float(end) for end in np.percentile(resampled, (2.5, 97.5)))
    return Speedup(ratio, min(low, ratio), max(high, ratio))


def _resampled_weights(counts: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each round is drawn, (resamples, rounds): processes first, then as many rounds of each as it has."""
    import numpy as np

    drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), _RESAMPLES_AT_ONCE)
    return np.concatenate(
        [rng.multinomial(drawn[:, i] * count, np.full(count, 1 / count)) for i, count in enumerate(counts)], axis=1
    )


def _quiet_ratio(pairs: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """The baseline's quiet turns over the model's, from (rounds, 2) and (resamples, rounds)."""
    import numpy as np

    def quiet(times: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.argsort(times)
        below = weights[:, order].cumsum(axis=1)
        found: NDArray[np.float64] = times[order][np.argmax(below >= QUIET_PERCENT / 100 * below[:, -1:], axis=1)]
        return found

    ratio: NDArray[np.float64] = quiet(pairs[:, 1]) / quiet(pairs[:, 0])
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
