"""A model in the race: warmed up until its latency is steady, then taking its turns."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from edge_runtime.benchmark.timing.statistics import speedup

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.benchmark.report import Speedup, Start
    from edge_runtime.inference.classifier import Classifier

TURN_MS = 25.0
"""A model that is faster than this runs several times in one turn: a network that has just been swapped in finds
the caches full of another one's weights, which no user's loop ever does."""

PAUSE_S = 0.05
"""Before a turn with several threads. XNNPACK's and ruy's idle threads spin for some 10 ms before they sleep, and
would take a core from the next model."""

STEADY_WITHIN = 0.03
"""The latency is steady when the medians of three windows, one after the other, differ by less than this share."""

WARMUP_LIMIT_S = 3.0
"""A machine that isn't steady by then won't be: the run says so and goes on."""


@dataclass(frozen=True)
class TurnTimes:
    """Of one turn: milliseconds, one entry for each run.

    The last two are the calling thread's processor time, a mean over the runs: what it costs without the time in which
    another program had the core. ``heat`` tells the process that it was in (`edge_runtime.benchmark.timing.heats`).
    """

    inference: list[float]
    preprocess: list[float]
    postprocess: list[float]
    pipeline: list[float]
    inference_processor_ms: float
    pipeline_processor_ms: float
    heat: int = 0


@dataclass
class Contender:
    """A model and its times so far.

    Attributes:
        classifier: The model.
        start: Of fresh processes before; None where there were none.
        turns: One for each round.
        warmup_runs: Classifications before the first round.
        steady: Whether the latency was steady after them.
    """

    classifier: Classifier
    start: Start | None = None
    turns: list[TurnTimes] = field(default_factory=list)
    warmup_runs: int = 0
    steady: bool = True
    _repeats: tuple[int, int] = (1, 1)  # of inference and of the pipeline, in one turn

    def join(self, heat: int, turns: Sequence[TurnTimes], warmup_runs: int, steady: bool) -> None:
        """Adds what was measured in a process of its own."""
        self.turns += [replace(turn, heat=heat) for turn in turns]
        self.warmup_runs += warmup_runs
        self.steady = self.steady and steady

    def times(self, part: str) -> list[list[float]]:
        """Those of one part, one list for each round."""
        return [getattr(turn, part) for turn in self.turns]

    def speedup(self, baseline: Contender, part: Literal["inference", "pipeline"], *, seed: int = 0) -> Speedup:
        """How many times as fast as the baseline, from the same rounds.

        With one thread in both, by processor time, which a program that shares the core doesn't change; else by the
        clock, because work that is spread over cores has no processor time of its own.
        """
        one_thread = self.classifier.backend.num_threads == baseline.classifier.backend.num_threads == 1
        return speedup(self._costs(part, one_thread), baseline._costs(part, one_thread), seed=seed)

    def _costs(self, part: str, processor: bool) -> list[list[float]]:
        """Milliseconds of each turn, a mean of its runs: a list for each heat."""
        return [
            [
                getattr(turn, f"{part}_processor_ms") if processor else statistics.fmean(getattr(turn, part))
                for turn in turns
            ]
            for _, turns in groupby(self.turns, key=lambda turn: turn.heat)
        ]

    def warm_up(self, frame: NDArray[np.uint8], runs: int | None) -> None:
        """Classifies until the latency is steady, or exactly so many times."""
        classify = self._classify(frame)
        first_ms = _timed(classify, 1)[0]  # allocates; it says nothing about speed
        self.warmup_runs = 1
        if runs is None:
            self._until_steady(classify, first_ms)
        else:
            _timed(classify, runs)
            self.warmup_runs += runs
        invoke_ms, classify_ms = min(_timed(self.classifier.invoke, 3)), min(_timed(classify, 3))
        self._repeats = (math.ceil(TURN_MS / invoke_ms), math.ceil(TURN_MS / classify_ms))

    def take_turn(self, frame: NDArray[np.uint8]) -> None:
        """Measures inference alone, then the pipeline and its parts."""
        if self.classifier.backend.num_threads > 1:
            time.sleep(PAUSE_S)
        if self._repeats[0] > 1:
            self.classifier.invoke()  # brings the weights back into the caches
        started_ns = time.thread_time_ns()
        inference = _timed(self.classifier.invoke, self._repeats[0])
        between_ns = time.thread_time_ns()
        predictions = []
        pipeline = _timed(lambda: predictions.append(self.classifier.classify(frame)), self._repeats[1])
        ended_ns = time.thread_time_ns()
        self.turns.append(
            TurnTimes(
                inference,
                [prediction.preprocess_ms for prediction in predictions],
                [prediction.postprocess_ms for prediction in predictions],
                pipeline,
                inference_processor_ms=(between_ns - started_ns) / 1e6 / self._repeats[0],
                pipeline_processor_ms=(ended_ns - between_ns) / 1e6 / self._repeats[1],
            )
        )

    def _until_steady(self, classify: Callable[[], object], first_ms: float) -> None:
        window = min(max(3, math.ceil(TURN_MS / first_ms)), 200)
        deadline = time.monotonic() + WARMUP_LIMIT_S
        medians: list[float] = []
        self.steady = False
        while not self.steady and (len(medians) < 3 or time.monotonic() < deadline):
            medians.append(statistics.median(_timed(classify, window)))
            self.warmup_runs += window
            self.steady = is_steady(medians)

    def _classify(self, frame: NDArray[np.uint8]) -> Callable[[], object]:
        return lambda: self.classifier.classify(frame)


def is_steady(medians: list[float]) -> bool:
    """Whether the last three windows had the same latency, as far as matters."""
    last = medians[-3:]
    return len(last) == 3 and max(last) <= (1 + STEADY_WITHIN) * min(last)


def timer_ms() -> float:
    """What timing a run adds to it: the median time of nothing."""
    return statistics.median(_timed(lambda: None, 1000))


def _timed(function: Callable[[], object], repeats: int) -> list[float]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append((clock() - start) / 1e6)
    return times
