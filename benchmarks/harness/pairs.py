"""Taking turns, and what may be said from it.

Two things that are compared run one after the other, round by round and in random order, so that a clock that drops
or a busy neighbour hits both; the ratio is taken within each round, and the median of the ratios is what counts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

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
    """Runs each contender once a round, in random order.

    Args:
        name: For the progress line.
        contenders: Each call gives one sample.
        rounds: How many samples of each.
        warmup: Rounds before, which don't count.
        seed: Of the order.
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
    """The median ratio of pairs."""
    return median_interval([a / b for a, b in zip(numerators, denominators, strict=True)])


def median_interval(values: Sequence[float]) -> Interval:
    """The median and its distribution-free 95% interval, from order statistics (the sign test turned round)."""
    ordered, count = sorted(values), len(values)
    outside = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    return Interval(median(ordered), ordered[outside], ordered[count - 1 - outside])
