"""All models in one process, in turns: round by round, each round in a new random order.

A clock that drops or a neighbour that gets busy so hits them alike, and ratios are taken within each round.
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
"""The bootstrap's interval of a handful of rounds is too narrow to stop by."""


@dataclass(frozen=True)
class StoppingRule:
    """When there have been enough rounds.

    Attributes:
        seconds: After so long, and at least `FEWEST_ROUNDS`.
        rounds: After exactly so many; the others don't count then.
        precision: When the 95% intervals of all speed-ups are narrower than this share of them, even before
            ``seconds`` are over.
    """

    seconds: float
    rounds: int | None = None
    precision: float | None = None


@dataclass(frozen=True)
class Rounds:
    """How the rounds went."""

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
    """Lets all take turns until the rule, or an interrupt, ends it.

    Args:
        contenders: Warmed up.
        frame: uint8 (H, W, 3) BGR.
        rule: When to stop.
        order: Shuffles each round.
        baseline: Of the ratios that the rule's precision is about.
        after_round: Called with the number of rounds so far.

    Raises:
        KeyboardInterrupt: Before the first round had ended.
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
                    check_at = count + max(5, count // 10)  # looking costs as much as a turn
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
        for contender in contenders:  # the round that was cut short
            del contender.turns[count:]
        return Rounds(count, "interrupted")


def precision_of(contenders: Sequence[Contender], baseline: Contender) -> float:
    """The widest interval of all speed-ups, as a share of them."""
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
