"""Round: one turn of every model in the same process, in a new random order.

A clock that drops or another program that becomes busy then affects all models alike.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge_runtime.benchmark.progress import Progress

if TYPE_CHECKING:
    import random

    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.benchmark.report import EndedBy
    from edge_runtime.benchmark.timing.contender import Contender

FEWEST_ROUNDS = 5
FEWEST_ROUNDS_FOR_PRECISION = 20
"""Minimum number of rounds before precision may stop a run, because the interval of a few rounds is too narrow."""


@dataclass(frozen=True)
class StoppingRule:
    """Condition for ending the rounds.

    Attributes:
        seconds: Duration; at least `FEWEST_ROUNDS` rounds are measured.
        rounds: Exact number of rounds, which replaces the other conditions.
        precision: Relative width of the 95% intervals of all speedups that ends the rounds before ``seconds`` are over.
    """

    seconds: float
    rounds: int | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Rounds:
    """Number of complete rounds, and why they ended."""

    count: int
    ended_by: EndedBy


def run_rounds(
    contenders: Sequence[Contender],
    frame: NDArray[np.uint8],
    rule: StoppingRule,
    order: random.Random,
    *,
    baseline: Contender | None = None,
    after_round: Callable[[int], None] = lambda count: None,
) -> Rounds:
    """Give every model one turn per round until the rule or an interrupt ends the rounds.

    Args:
        contenders: Warmed-up models.
        frame: Frame to classify, uint8 (H, W, 3) BGR, 0–255.
        rule: When to stop.
        order: Random generator that shuffles each round.
        baseline: Model that the rule's precision refers to.
        after_round: Called with the number of rounds so far.

    Raises:
        KeyboardInterrupt: Interrupted before the first round was complete.
    """
    count, check_at = 0, FEWEST_ROUNDS_FOR_PRECISION
    started = time.monotonic()
    try:
        with _no_garbage_collection(), Progress("benchmark") as progress:
            while True:
                elapsed = time.monotonic() - started
                if rule.rounds is not None:
                    if count >= rule.rounds:
                        return Rounds(count, "rounds")
                elif count >= FEWEST_ROUNDS and elapsed >= rule.seconds:
                    return Rounds(count, "seconds")
                elif rule.precision is not None and baseline is not None and count >= check_at:
                    check_at = count + max(5, count // 10)  # the check costs as much as a turn
                    if precision_of(contenders, baseline) < rule.precision:
                        return Rounds(count, "precision")
                progress.update(count / rule.rounds if rule.rounds else elapsed / rule.seconds)
                for contender in order.sample(contenders, len(contenders)):
                    contender.take_turn(frame)
                count += 1
                after_round(count)
    except KeyboardInterrupt:
        if count == 0:
            raise
        for contender in contenders:  # drop the incomplete round
            del contender.turns[count:]
        return Rounds(count, "interrupted")


def precision_of(contenders: Sequence[Contender], baseline: Contender) -> float:
    """Return the width of the widest interval of all speedups, relative to the speedup."""
    parts: tuple[Literal["inference"], Literal["pipeline"]] = ("inference", "pipeline")
    found = [
        contender.speedup(baseline, part) for contender in contenders if contender is not baseline for part in parts
    ]
    return max(((one.high - one.low) / one.ratio for one in found), default=0.0)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
