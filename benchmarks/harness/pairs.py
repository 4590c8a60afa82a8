"""Compare programs by running them in turns.

The contenders, as the things to compare are called, run one after the other, round by round and in random order, so
that a clock that drops or another busy program affects all of them. The result is the median of each round's ratio.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from benchmarks.harness.figure import Figure
from edge_runtime.benchmark.progress import Progress

Sample = TypeVar("Sample")


@dataclass(frozen=True)
class Interval:
    """A median and its 95% interval."""

    value: float
    low: float
    high: float


def take_turns(
    name: str, contenders: Mapping[str, Callable[[], Sample]], *, rounds: int, warmup: int, seed: int = 0
) -> dict[str, list[Sample]]:
    """Run each contender once per round, in random order.

    Args:
        name: Name for the progress line.
        contenders: Functions that return one sample each.
        rounds: Number of samples of each.
        warmup: Number of rounds before them that are not counted.
        seed: Seed of the order.
    """
    order = random.Random(seed)
    samples: dict[str, list[Sample]] = {contender: [] for contender in contenders}
    with Progress(name) as progress:
        for number in range(-warmup, rounds):
            progress.update((number + warmup) / (rounds + warmup))
            for contender in order.sample(list(contenders), len(contenders)):
                sample = contenders[contender]()
                if number >= 0:
                    samples[contender].append(sample)
    return samples


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """Return the median ratio of pairs."""
    return median_interval([a / b for a, b in zip(numerators, denominators, strict=True)])


def ratio_figure(
    name: str,
    what: str,
    compared: Interval,
    conditions: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """Return the figure of a ratio (×) with its interval; for the arguments see `Figure`."""
    return Figure(name, what, compared.value, "×", conditions, compared.low, compared.high, at_most, at_least)


def per_second(step: Callable[[], object], seconds: float) -> float:
    """Return how often per second a function can be called, measured over at least ``seconds``."""
    start, count = time.perf_counter(), 0
    while True:
        step()
        count += 1
        if (elapsed := time.perf_counter() - start) >= seconds:
            return count / elapsed


def median_interval(values: Sequence[float]) -> Interval:
    """Return the median and its distribution-free 95% interval, from order statistics (inverted sign test)."""
    ordered, count = sorted(values), len(values)
    outside = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    return Interval(median(ordered), ordered[outside], ordered[count - 1 - outside])
