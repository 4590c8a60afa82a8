"""Measures models against one another on this machine.

All models are loaded in one process and take turns, round by round and in random order, so that a clock that drops or
a neighbour that gets busy hits them alike; ratios are taken within each round (pairing, as in Kalibera and Jones,
"Rigorous benchmarking in reasonable time", 2013) and their interval comes from a bootstrap over rounds.
"""

from __future__ import annotations

import gc
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.benchmark_report import (
    BenchmarkReport,
    ModelResult,
    Speedup,
    Timing,
    format_markdown,
    format_text,
)
from edge_runtime.classifier import Classifier
from edge_runtime.errors import ModelError
from edge_runtime.interpreter import Int8Kernels
from edge_runtime.machine import describe_machine
from edge_runtime.progress import Progress
from edge_runtime.sources.synthetic import SyntheticSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["BenchmarkReport", "ModelResult", "Speedup", "Timing", "benchmark", "format_markdown", "format_text"]

TURN_MS = 50.0
"""A model that is faster than this runs several times in one turn: a network that has just been swapped in finds
the caches full of another one's weights, which no user's loop ever does."""

PAUSE_S = 0.05
"""Before a turn with several threads. XNNPACK's and ruy's idle threads spin for some 10 ms before they sleep, and
would take a core from the next model."""

FEWEST_ROUNDS = 5
RESAMPLES = 2000

Model = str | os.PathLike[str] | Classifier


def benchmark(
    models: Sequence[Model],
    *,
    baseline: Model | None = None,
    seconds: float = 10.0,
    rounds: int | None = None,
    warmup: int = 10,
    num_threads: int | None = None,
    backend: str | None = None,
    int8_kernels: Int8Kernels = "auto",
    frame: NDArray[np.uint8] | None = None,
    seed: int = 0,
) -> BenchmarkReport:
    """Measures inference alone and the whole pipeline of each model.

    Args:
        models: Paths, or classifiers (of models that need labels or a contract, or to compare settings of one model).
        baseline: What the others are compared with; it may be one of ``models``.
        seconds: How long to measure, at least five rounds.
        rounds: Exactly so many rounds instead.
        warmup: Runs of each model before.
        num_threads: For models given by path; as for `Classifier`.
        backend: The same.
        int8_kernels: The same.
        frame: uint8 (H, W, 3) BGR to classify; None draws a scene of 480×640.
        seed: Of the order of turns and of the bootstrap.

    Raises:
        ModelError: No model was given, or one can't be used.
        BackendError: A model can't be run.
    """
    if not models:
        raise ModelError("Expected at least one model to measure, got none.")
    if frame is None:
        frame = SyntheticSource().draw(0)
    machine = describe_machine()
    given = [*models] if baseline is None or any(_same(model, baseline) for model in models) else [*models, baseline]
    with ExitStack() as opened:
        contenders = []
        for model in given:
            classifier = model
            if not isinstance(classifier, Classifier):
                classifier = opened.enter_context(
                    Classifier(Path(classifier), num_threads=num_threads, backend=backend, int8_kernels=int8_kernels)
                )
            contenders.append(_Contender(classifier, is_baseline=baseline is not None and _same(model, baseline)))
        for contender in contenders:
            contender.warm_up(frame, warmup)
        count = _take_turns(contenders, frame, rounds, seconds, random.Random(seed))
        results = _results(contenders, seed)
    after = describe_machine()
    chosen = [result.name for result, contender in zip(results, contenders, strict=True) if contender.is_baseline]
    return BenchmarkReport(
        machine=machine,
        models=results,
        baseline=chosen[0] if chosen else None,
        rounds=count,
        warmup=warmup,
        frame_height=frame.shape[0],
        frame_width=frame.shape[1],
        seed=seed,
        # The load is that of others only before we begin; heat shows only at the end.
        warnings=(*replace(machine, throttled=after.throttled).warnings(), *_model_warnings(contenders, results)),
    )


@dataclass
class _Contender:
    """A model in the race, and its times so far: milliseconds, one list a round."""

    classifier: Classifier
    is_baseline: bool
    repeats: tuple[int, int] = (1, 1)  # of inference and of the pipeline, in one turn
    inference: list[list[float]] = field(default_factory=list)
    pipeline: list[list[float]] = field(default_factory=list)

    def warm_up(self, frame: NDArray[np.uint8], runs: int) -> None:
        self.classifier.classify(frame)  # the first run allocates; it says nothing about speed
        for _ in range(runs):
            self.classifier.classify(frame)
        invoke_ms = min(_timed(self.classifier.invoke, 3))
        classify_ms = min(_timed(lambda: self.classifier.classify(frame), 3))
        self.repeats = (math.ceil(TURN_MS / invoke_ms), math.ceil(TURN_MS / classify_ms))

    def take_turn(self, frame: NDArray[np.uint8]) -> None:
        if self.classifier.backend.num_threads > 1:
            time.sleep(PAUSE_S)
        if self.repeats[0] > 1:
            self.classifier.invoke()  # brings the weights back into the caches
        self.inference.append(_timed(self.classifier.invoke, self.repeats[0]))
        self.pipeline.append(_timed(lambda: self.classifier.classify(frame), self.repeats[1]))


def _take_turns(
    contenders: Sequence[_Contender],
    frame: NDArray[np.uint8],
    rounds: int | None,
    seconds: float,
    order: random.Random,
) -> int:
    """Returns how many rounds were run."""
    count = 0
    started = time.monotonic()
    with _no_garbage_collection(), Progress("benchmark") as progress:
        while True:
            elapsed = time.monotonic() - started
            if count >= rounds if rounds is not None else count >= FEWEST_ROUNDS and elapsed >= seconds:
                return count
            progress.update(count / rounds if rounds else elapsed / seconds)
            for contender in order.sample(contenders, len(contenders)):
                contender.take_turn(frame)
            count += 1


def _results(contenders: Sequence[_Contender], seed: int) -> tuple[ModelResult, ...]:
    baseline = next((contender for contender in contenders if contender.is_baseline), None)
    results = []
    for contender, name in zip(contenders, _names(contenders), strict=True):
        model = contender.classifier.model
        accuracy, split = _accuracy(contender.classifier)
        speedups = _speedups(contender, baseline, seed)
        results.append(
            ModelResult(
                name=name,
                path=str(model.path),
                sha256=model.sha256,
                size_bytes=model.size_bytes,
                precision=_precision(contender.classifier),
                backend=contender.classifier.backend,
                accuracy=accuracy,
                accuracy_split=split,
                inference=summarize([ms for turn in contender.inference for ms in turn]),
                pipeline=summarize([ms for turn in contender.pipeline for ms in turn]),
                inference_speedup=speedups[0],
                pipeline_speedup=speedups[1],
            )
        )
    return tuple(results)


def _speedups(
    contender: _Contender, baseline: _Contender | None, seed: int
) -> tuple[Speedup, Speedup] | tuple[None, None]:
    if baseline is None or contender is baseline:
        return None, None
    return compare(contender.inference, baseline.inference, seed), compare(contender.pipeline, baseline.pipeline, seed)


def summarize(times_ms: Sequence[float]) -> Timing:
    """The percentiles of some times."""
    import numpy as np

    p50, p90, p99 = (float(value) for value in np.percentile(times_ms, (50, 90, 99)))
    return Timing(len(times_ms), float(np.mean(times_ms)), min(times_ms), p50, p90, p99)


def compare(turns: Sequence[Sequence[float]], baseline: Sequence[Sequence[float]], seed: int) -> Speedup:
    """How many times as fast as the baseline, from times in the same rounds.

    The median over rounds of the ratio of the turns' medians, and the percentile interval of its bootstrap (Efron,
    1979): both shrug off a round in which something else took the machine.
    """
    import numpy as np

    own = np.array([np.median(turn) for turn in turns])
    other = np.array([np.median(turn) for turn in baseline])
    ratios = other / own
    picks = np.random.default_rng(seed).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), (2.5, 97.5))
    return Speedup(float(np.median(ratios)), float(low), float(high))


def _model_warnings(contenders: Sequence[_Contender], results: Sequence[ModelResult]) -> Iterator[str]:
    for result in results:
        backend = result.backend
        if result.precision == "INT8" and backend.int8_kernels == "off":
            yield f"{result.name}: INT8 runs on the slow kernels: {backend.int8_kernels_reason}."
    first = contenders[0].classifier
    for contender, result in zip(contenders[1:], results[1:], strict=True):
        other = contender.classifier
        size, other_size = ((one.contract.height, one.contract.width) for one in (first, other))
        if size != other_size:
            yield (
                f"{results[0].name} takes {size[0]}×{size[1]} pixels and {result.name} "
                f"{other_size[0]}×{other_size[1]}: their speeds aren't those of the same task."
            )
        if first.labels != other.labels:
            yield f"{results[0].name} and {result.name} don't know the same classes: they aren't the same task."


def _names(contenders: Sequence[_Contender]) -> list[str]:
    """File names; where one comes twice, with whatever tells the two apart."""
    paths = [Path(contender.classifier.model.path) for contender in contenders]
    names = [path.name for path in paths]
    backends = [contender.classifier.backend for contender in contenders]
    for details in (
        [f"in {path.parent.name}" for path in paths],
        [f"{backend.name} {backend.version}" for backend in backends],
        [f"threads {backend.num_threads}" for backend in backends],
        [f"INT8 kernels {backend.int8_kernels}" for backend in backends],
    ):
        groups: dict[str, set[str]] = {}
        for name, detail in zip(names, details, strict=True):
            groups.setdefault(name, set()).add(detail)
        names = [
            f"{name}, {detail}" if len(groups[name]) > 1 else name for name, detail in zip(names, details, strict=True)
        ]
    return names


def _accuracy(classifier: Classifier) -> tuple[float | None, str]:
    """What the manifest states for this file, and on which split; the test split goes first."""
    manifest = classifier.model.manifest
    for measured in sorted(manifest.accuracy if manifest else (), key=lambda entry: entry.split != "test"):
        value = measured.int8 if classifier.model.is_quantized else measured.fp32
        if value is not None:
            return value, measured.split
    return None, ""


def _precision(classifier: Classifier) -> str:
    return "INT8" if classifier.model.is_quantized else "FP32"


def _same(one: Model, other: Model) -> bool:
    if isinstance(one, Classifier) or isinstance(other, Classifier):
        return one is other
    return Path(one).resolve() == Path(other).resolve()


def _timed(function: Callable[[], object], repeats: int) -> list[float]:
    clock = time.perf_counter_ns
    times = []
    for _ in range(repeats):
        start = clock()
        function()
        times.append((clock() - start) / 1e6)
    return times


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
