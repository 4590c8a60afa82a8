"""Contender: one of the models that a benchmark compares, with its warm-up and the times of its turns."""

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
"""Minimum duration of a turn. A faster model runs several times per turn, because its first run finds the caches full
of another model's weights, which does not happen in a real application."""

PAUSE_S = 0.05
"""Pause before a turn with several threads. Idle threads of XNNPACK and ruy spin for about 10 ms before they sleep,
and would take a core from the next model."""

STEADY_WITHIN = 0.03
"""Relative difference of the medians of three successive windows below which the latency counts as steady."""

WARMUP_LIMIT_S = 3.0
"""Maximum duration of the warm-up. If the latency is not steady by then, the report contains a warning."""


@dataclass(frozen=True)
class TurnTimes:
    """Times of one turn.

    Attributes:
        inference: Latency of each run of the network alone, in milliseconds.
        preprocess: Latency of preprocessing in each run of the pipeline, in milliseconds.
        postprocess: Latency of postprocessing in each run of the pipeline, in milliseconds.
        pipeline: Latency of each run of the full pipeline, in milliseconds.
        inference_processor_ms: Mean CPU time of the calling thread per inference, which excludes the time when another
            program had the core.
        pipeline_processor_ms: Mean CPU time of the calling thread per run of the pipeline.
        heat: Index of the process that ran the turn (`edge_runtime.benchmark.timing.heats`).
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
    """One model of the benchmark and its times so far.

    Attributes:
        classifier: Model with its settings.
        start: Start-up cost in fresh processes; None if not measured.
        turns: Times of its turn in each round.
        warmup_runs: Number of warm-up classifications.
        steady: Whether the latency was steady after the warm-up.
    """

    classifier: Classifier
    start: Start | None = None
    turns: list[TurnTimes] = field(default_factory=list)
    warmup_runs: int = 0
    steady: bool = True
    _repeats: tuple[int, int] = (1, 1)  # runs of inference and of the pipeline per turn

    def join(self, heat: int, turns: Sequence[TurnTimes], warmup_runs: int, steady: bool) -> None:
        """Add the turns that were measured in another process.

        Args:
            heat: Index of the process.
            turns: Turns of this model in that process.
            warmup_runs: Number of warm-up classifications there.
            steady: Whether the latency was steady there after the warm-up.
        """
        self.turns += [replace(turn, heat=heat) for turn in turns]
        self.warmup_runs += warmup_runs
        self.steady = self.steady and steady

    def times(self, part: str) -> list[list[float]]:
        """Return the times of one part in milliseconds, one list per round."""
        return [getattr(turn, part) for turn in self.turns]

    def speedup(self, baseline: Contender, part: Literal["inference", "pipeline"], *, seed: int = 0) -> Speedup:
        """Return the speed relative to the baseline, from the same rounds.

        If both models use one thread, CPU time is compared, which other programs on the core do not change. Otherwise
        wall-clock time is compared, because the calling thread's CPU time does not cover the other threads.
        """
        one_thread = self.classifier.backend.num_threads == baseline.classifier.backend.num_threads == 1
        return speedup(self._costs(part, one_thread), baseline._costs(part, one_thread), seed=seed)

    def _costs(self, part: str, processor: bool) -> list[list[float]]:
        """Return the mean milliseconds per run of each turn, one list per heat."""
        return [
            [
                getattr(turn, f"{part}_processor_ms") if processor else statistics.fmean(getattr(turn, part))
                for turn in turns
            ]
            for _, turns in groupby(self.turns, key=lambda turn: turn.heat)
        ]

    def warm_up(self, frame: NDArray[np.uint8], runs: int | None) -> None:
        """Classify a frame, uint8 (H, W, 3) BGR, ``runs`` times, or until the latency is steady if ``runs`` is None."""
        classify = self._classify(frame)
        first_ms = _timed(classify, 1)[0]  # includes allocation, so it only decides the size of a window
        self.warmup_runs = 1
        if runs is None:
            self._until_steady(classify, first_ms)
        else:
            _timed(classify, runs)
            self.warmup_runs += runs
        invoke_ms, classify_ms = min(_timed(self.classifier.invoke, 3)), min(_timed(classify, 3))
        self._repeats = (math.ceil(TURN_MS / invoke_ms), math.ceil(TURN_MS / classify_ms))

    def take_turn(self, frame: NDArray[np.uint8]) -> None:
        """Measure inference alone, then the pipeline and its parts, on a frame, uint8 (H, W, 3) BGR."""
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
    """Return True if the medians of the last three windows are within `STEADY_WITHIN` of each other."""
    last = medians[-3:]
    return len(last) == 3 and max(last) <= (1 + STEADY_WITHIN) * min(last)


def timer_ms() -> float:
    """Return the overhead of the timer: the median time of an empty function."""
    return statistics.median(_timed(lambda: None, 1000))


def _timed(function: Callable[[], object], repeats: int) -> list[float]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append((clock() - start) / 1e6)
    return times
