"""Percentiles and intervals of times that were measured in rounds.

A speedup compares the 5th percentile of the models' turns over all processes, because interference from other
programs, caches and the clock only ever adds time (Chen and Revels, "Robust benchmarking in noisy environments",
2016), and adds more to one model than to the other. Another virtual machine on the same core, invisible from here, was
found to slow down one network by 38% and another by 27%, for seconds or minutes. Single processes do not always have
enough quiet turns for a ratio of their own. The time of a turn is the mean of its runs, not the minimum: if the
scheduler gives half of the core away, a model with many short runs would have some undisturbed runs, and a model with
one long run would not.

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
_Z = 1.959964  # 97.5th percentile of the standard normal distribution

Turns = Sequence[Sequence[float]]
"""Times in milliseconds, one list per round."""


def summarize(turns: Turns, *, seed: int = 0) -> Timing:
    """Return the percentiles of all times, and the 95% interval of their median."""
    import numpy as np

    times = [ms for turn in turns for ms in turn]
    p50, p90, p99 = (float(value) for value in np.percentile(times, (50, 90, 99)))
    medians = np.array([np.median(turn) for turn in turns])
    low, high = _bootstrap(medians, seed)
    # The overall median can differ slightly from the median of the rounds' medians; the interval contains both.
    return Timing(len(times), float(np.mean(times)), min(times), p50, p90, p99, min(low, p50), max(high, p50))


def speedup(costs: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], *, seed: int = 0) -> Speedup:
    """Return the speed relative to the baseline, with its 95% interval.

    Args:
        costs: Milliseconds of each turn, one list per process.
        baseline: Milliseconds of the baseline's turns in the same processes and rounds.
        seed: Seed of the bootstrap.
    """
    import numpy as np

    # Sorted, so that the interval does not depend on the order of the rounds.
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
    """Return how often each round is drawn, int64 (resamples, rounds): first processes, then rounds within them."""
    import numpy as np

    drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), _RESAMPLES_AT_ONCE)
    return np.concatenate(
        [rng.multinomial(drawn[:, i] * count, np.full(count, 1 / count)) for i, count in enumerate(counts)], axis=1
    )


def _quiet_ratio(pairs: NDArray[np.float64], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the ratios of quiet turns, (resamples,), from pairs (rounds, 2) and weights (resamples, rounds)."""
    import numpy as np

    def quiet(times: NDArray[np.float64]) -> NDArray[np.float64]:
        order = np.argsort(times)
        below = weights[:, order].cumsum(axis=1)
        found: NDArray[np.float64] = times[order][np.argmax(below >= QUIET_PERCENT / 100 * below[:, -1:], axis=1)]
        return found

    ratio: NDArray[np.float64] = quiet(pairs[:, 1]) / quiet(pairs[:, 0])
    return ratio


def _bootstrap(values: NDArray[np.float64], seed: int) -> tuple[float, float]:
    """Return the 95% interval of the values' median."""
    import numpy as np

    # Sorted, so that the interval does not depend on the order of the values.
    ordered = np.sort(values)
    picks = np.random.default_rng(seed).integers(0, len(ordered), (RESAMPLES, len(ordered)))
    low, high = np.percentile(np.median(ordered[picks], axis=1), (2.5, 97.5))
    return float(low), float(high)


def share_interval(right: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of the share ``right / count`` (Wilson, 1927), 0–1."""
    share, square = right / count, _Z**2 / count
    middle = share + square / 2
    reach = _Z * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, (middle - reach) / (1 + square)), min(1.0, (middle + reach) / (1 + square))
