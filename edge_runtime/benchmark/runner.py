"""The benchmark from start to end: fresh processes, warm-up, rounds, report, then energy, accuracy, sustained run."""

from __future__ import annotations

import math
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.benchmark.measures.accuracy import Photos, find_photos, measure_accuracy
from edge_runtime.benchmark.measures.cold_start import measure_starts
from edge_runtime.benchmark.measures.energy import find_meter, measure_energy
from edge_runtime.benchmark.measures.source_speed import measure_capture
from edge_runtime.benchmark.measures.sustained import sustain
from edge_runtime.benchmark.progress import Progress
from edge_runtime.benchmark.report import Accuracy, BenchmarkReport, Capture, Failure, ModelResult, OperationKind
from edge_runtime.benchmark.rows import row_names
from edge_runtime.benchmark.timing.contender import Contender, timer_ms
from edge_runtime.benchmark.timing.heats import run_heat
from edge_runtime.benchmark.timing.rounds import (
    FEWEST_ROUNDS_FOR_PRECISION,
    Rounds,
    StoppingRule,
    precision_of,
    run_rounds,
)
from edge_runtime.benchmark.timing.statistics import share_interval, summarize
from edge_runtime.benchmark.timing.validity import LoadMeter, invalid_reasons, machine_warnings, model_warnings
from edge_runtime.device.machine import Machine, describe_machine
from edge_runtime.errors import BackendError, EdgeRuntimeError, ModelError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.interpreter import Int8Kernels
from edge_runtime.inference.options import ClassifierOptions
from edge_runtime.sources import open_source
from edge_runtime.sources.synthetic import SyntheticSource

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEEP_EVERY_S = 10.0
"""Interval of saving the report, so that a killed run leaves its results. Also the longest duration of a heat."""

PRECISE_HEAT_S = 2.0
"""Longest duration of a heat with a requested precision, which is checked between heats."""

Model = str | os.PathLike[str] | ClassifierOptions | Classifier


def benchmark(
    models: Sequence[Model],
    *,
    baseline: Model | None = None,
    seconds: float = 10.0,
    rounds: int | None = None,
    precision: float | None = None,
    warmup: int | None = None,
    processes: int = 0,
    num_threads: int | None = None,
    backend: str | None = None,
    int8_kernels: Int8Kernels = "auto",
    source: str | int | os.PathLike[str] | None = None,
    frame: NDArray[np.uint8] | None = None,
    photos: str | os.PathLike[str] | None = None,
    minutes: float | None = None,
    seed: int = 0,
    keep: Callable[[BenchmarkReport], None] | None = None,
) -> BenchmarkReport:
    """Measure and compare models: latency of inference alone, of the full pipeline, and of its parts.

    A model that cannot be measured is listed in the report's failures, and the others are measured all the same. An
    interrupt (Ctrl-C) after the first round ends the rounds; the report then covers those that were completed.

    Args:
        models: Paths, options or classifiers. Options compare settings of one model, or supply labels.
        baseline: Model that the others are compared with; it may be one of ``models``.
        seconds: Duration of the rounds, default 10; at least five rounds are measured.
        rounds: Exact number of rounds, instead of ``seconds``.
        precision: Relative width of the 95% intervals at which to stop early, for example 0.02: all speedups over the
            baseline must be that precise.
        warmup: Number of warm-up runs per model; None warms up until the latency is steady, for at most 3 s.
        processes: Number of fresh processes that load each model, for load time, cold start and peak memory, and
            minimum number of processes that the rounds are spread over (`edge_runtime.benchmark.timing.heats`). With
            0, the default, everything runs in this process.
        num_threads: Number of threads for models given as a path; see `Classifier`.
        backend: Backend for models given as a path; see `Classifier`.
        int8_kernels: INT8 kernels for models given as a path; see `Classifier`.
        source: Source whose frame rate to measure and whose frame to classify; see
            `edge_runtime.sources.open_source`.
        frame: Frame to classify, uint8 (H, W, 3) BGR, 0–255. Default: a frame of the source, or a drawn 480×640 scene.
        photos: Folder with one subfolder of photos per class, to measure accuracy on. By default the report contains
            the accuracies stored in the model files.
        minutes: Duration of a sustained run of the first model after the rounds, in minutes; None skips it.
        seed: Seed of the order of turns and of the bootstrap.
        keep: Callback for saving the report so far, called every ten seconds in case the process is killed.

    Raises:
        ModelError: No models, precision without a baseline, or no usable model.
        SourceError: The source delivers no frame, or there are no photos of the models' classes.
        BackendError: None of the models can be run.
    """
    if not models:
        raise ModelError("No models to benchmark. Pass at least one model file.")
    if precision is not None and baseline is None:
        raise ModelError(
            "The precision applies to the speedups over a baseline, but there is no baseline. "
            "Choose one with --baseline MODEL (baseline=)."
        )
    captured = None
    if source is not None:
        with open_source(source) as delivering:
            captured, its_frame = measure_capture(delivering, seed=seed)
        frame = its_frame if frame is None else frame
    run = _Run(frame=SyntheticSource().draw(0) if frame is None else frame, seed=seed, capture=captured)
    given = [*models] if baseline is None or any(_same(model, baseline) for model in models) else [*models, baseline]
    opening = [
        ClassifierOptions(os.fspath(model), num_threads, backend, int8_kernels)
        if isinstance(model, (str, os.PathLike))
        else model
        for model in given
    ]
    order = random.Random(seed)
    with ExitStack() as opened:
        is_baseline = [baseline is not None and _same(model, baseline) for model in given]
        run.open(opening, is_baseline, opened, processes, order)
        labelled = None if photos is None else find_photos([one.classifier for one in run.contenders], photos)
        rule, keeper = StoppingRule(seconds, rounds, precision), _keeper(run, keep)
        done = run.heats(rule, processes, warmup, keeper) if processes else run.rounds(rule, warmup, order, keeper)
        report = run.report(done)
        try:
            if done.ended_by != "interrupted":
                report = run.finish(report, labelled, minutes, keep)
        except KeyboardInterrupt:
            report = replace(report, ended_by="interrupted")
        return report


@dataclass
class _Run:
    """State of a benchmark run."""

    frame: NDArray[np.uint8]
    seed: int
    capture: Capture | None = None
    contenders: list[Contender] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    baseline: Contender | None = None
    machine: Machine = field(default_factory=describe_machine)
    load: LoadMeter = field(default_factory=LoadMeter.start)
    heat_count: int = 0

    def open(
        self,
        models: Sequence[ClassifierOptions | Classifier],
        is_baseline: Sequence[bool],
        opened: ExitStack,
        processes: int,
        order: random.Random,
    ) -> None:
        """Load the models in fresh processes first; those that work there are then loaded in this process."""
        height, width = self.frame.shape[:2]
        every = [model.resolved_options if isinstance(model, Classifier) else model for model in models]
        starts = measure_starts(every, processes, height=height, width=width, order=order)
        first_error: EdgeRuntimeError | None = None
        for model, options, start, is_reference in zip(models, every, starts, is_baseline, strict=True):
            try:
                if isinstance(start, BackendError):
                    raise start
                classifier = (
                    model if isinstance(model, Classifier) else opened.enter_context(Classifier.from_options(model))
                )
            except EdgeRuntimeError as error:
                first_error = first_error or error
                self.failures.append(Failure(Path(options.model).name, options.model, str(error)))
                continue
            contender = Contender(classifier, start)
            self.contenders.append(contender)
            self.baseline = contender if is_reference else self.baseline
        if first_error is not None and not self.contenders:
            raise first_error

    def rounds(
        self, rule: StoppingRule, warmup: int | None, order: random.Random, after_round: Callable[[int], None]
    ) -> Rounds:
        """Run all rounds in this process."""
        for contender in self.contenders:
            contender.warm_up(self.frame, warmup)
        self.machine, self.load = describe_machine(), LoadMeter.start()
        return run_rounds(self.contenders, self.frame, rule, order, baseline=self.baseline, after_round=after_round)

    def heats(self, rule: StoppingRule, fewest: int, warmup: int | None, after_heat: Callable[[int], None]) -> Rounds:
        """Run the rounds in fresh processes, one after the other, until the rule or an interrupt ends them.

        Raises:
            BackendError: A process failed.
            KeyboardInterrupt: Interrupted before the first round was complete.
        """
        self.machine, self.load = describe_machine(), LoadMeter.start()
        models = [contender.classifier.resolved_options for contender in self.contenders]
        longest = KEEP_EVERY_S if rule.precision is None else PRECISE_HEAT_S
        planned = min(rule.rounds, fewest) if rule.rounds else max(fewest, math.ceil(rule.seconds / longest))
        try:
            with Progress("benchmark") as progress:
                for number in range(planned):
                    progress.update(number / planned)
                    # N rounds over k processes: N/k each, and the remainder goes to the first ones.
                    rounds = None if rule.rounds is None else len(range(number, rule.rounds, planned))
                    share = StoppingRule(rule.seconds / planned, rounds)
                    heat = run_heat(models, self.frame, share, warmup=warmup, seed=self.seed + number)
                    self.heat_count = number + 1
                    for index, contender in enumerate(self.contenders):
                        contender.join(number, heat.turns[index], heat.warmup_runs[index], heat.steady[index])
                    if heat.interrupted:
                        return Rounds(self._count(), "interrupted")
                    after_heat(self._count())
                    if number + 1 >= fewest and self._is_precise(rule.precision):
                        return Rounds(self._count(), "precision")
        except KeyboardInterrupt:
            count = self._count()
            if count == 0:
                raise
            for contender in self.contenders:  # interrupted while a heat's turns were being added
                del contender.turns[count:]
            return Rounds(count, "interrupted")
        return Rounds(self._count(), "rounds" if rule.rounds else "seconds")

    def _count(self) -> int:
        """Return the number of complete rounds so far."""
        return min(len(contender.turns) for contender in self.contenders)

    def _is_precise(self, precision: float | None) -> bool:
        if precision is None or self.baseline is None or self._count() < FEWEST_ROUNDS_FOR_PRECISION:
            return False
        return precision_of(self.contenders, self.baseline) < precision

    def report(self, done: Rounds) -> BenchmarkReport:
        others_cores, after, contenders = self.load.others_cores(), describe_machine(), self.contenders
        names = row_names([contender.classifier for contender in contenders])
        results = tuple(self._result(*pair) for pair in zip(contenders, names, strict=True))
        threads = max(result.backend.num_threads for result in results)
        invalid = tuple(invalid_reasons(self.machine, after, others_cores, threads))
        a_timer_ms = timer_ms()
        return BenchmarkReport(
            machine=self.machine,
            models=results,
            failures=tuple(self.failures),
            baseline=next((name for one, name in zip(contenders, names, strict=True) if one is self.baseline), None),
            rounds=done.count,
            ended_by=done.ended_by,
            frame_height=self.frame.shape[0],
            frame_width=self.frame.shape[1],
            seed=self.seed,
            date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            timer_ms=a_timer_ms,
            heats=self.heat_count,
            others_cores=others_cores,
            capture=self.capture,
            invalid=invalid,
            warnings=(
                *machine_warnings(self.machine, None if invalid else others_cores),
                *model_warnings(self.machine, results, a_timer_ms),
            ),
        )

    def finish(
        self,
        report: BenchmarkReport,
        photos: Photos | None,
        minutes: float | None,
        keep: Callable[[BenchmarkReport], None] | None,
    ) -> BenchmarkReport:
        """Add what cannot affect the latencies any more: energy, accuracy and the sustained run."""
        classifiers = [contender.classifier for contender in self.contenders]
        meter = find_meter()
        if meter is not None:
            energies = [measure_energy(meter, one, self.frame) for one in classifiers]
            models = zip(report.models, energies, strict=True)
            report = replace(report, models=tuple(replace(model, energy=energy) for model, energy in models))
        if photos is not None:
            baseline = self.baseline.classifier if self.baseline else None
            found = measure_accuracy(classifiers, photos, baseline=baseline)
            pairs = zip(report.models, found.accuracies, strict=True)
            report = replace(
                report,
                models=tuple(replace(model, accuracy=accuracy) for model, accuracy in pairs),
                warnings=(*report.warnings, *found.warnings),
            )
        if minutes is not None:
            name = report.models[0].name
            sustained = sustain(
                classifiers[0],
                self.frame,
                minutes=minutes,
                name=name,
                keep=lambda so_far: keep(replace(report, sustained=so_far)) if keep else None,
            )
            report = replace(report, sustained=sustained)
        return report

    def _result(self, contender: Contender, name: str) -> ModelResult:
        classifier, baseline = contender.classifier, self.baseline
        model = classifier.model
        result = ModelResult(
            name=name,
            path=str(model.path),
            sha256=model.sha256,
            size_bytes=model.size_bytes,
            precision="INT8" if model.is_quantized else "FP32",
            input_height=classifier.contract.height,
            input_width=classifier.contract.width,
            classes=classifier.labels,
            backend=classifier.backend,
            accuracy=_stated_accuracy(classifier),
            inference=summarize(contender.times("inference"), seed=self.seed),
            preprocess=summarize(contender.times("preprocess"), seed=self.seed),
            postprocess=summarize(contender.times("postprocess"), seed=self.seed),
            pipeline=summarize(contender.times("pipeline"), seed=self.seed),
            warmup_runs=contender.warmup_runs,
            steady=contender.steady,
            operations=_operations(classifier),
            start=contender.start,
        )
        if baseline is None or contender is baseline:
            return result
        return replace(
            result,
            inference_speedup=contender.speedup(baseline, "inference", seed=self.seed),
            pipeline_speedup=contender.speedup(baseline, "pipeline", seed=self.seed),
        )


def _keeper(run: _Run, keep: Callable[[BenchmarkReport], None] | None) -> Callable[[int], None]:
    kept_at = time.monotonic()

    def after_round(count: int) -> None:
        nonlocal kept_at
        if keep is not None and time.monotonic() - kept_at >= KEEP_EVERY_S:
            with suppress(EdgeRuntimeError):  # an unwritable file is reported at the end; it must not stop the run
                keep(run.report(Rounds(count, "running")))
            kept_at = time.monotonic()

    return after_round


def _operations(classifier: Classifier) -> tuple[OperationKind, ...]:
    counts, macs = Counter[str](), Counter[str]()
    for operation in classifier.model.operations:
        counts[operation.name] += 1
        macs[operation.name] += operation.macs
    backend = classifier.backend
    left = Counter(backend.undelegated)
    # Operators that our reader knows only by number have a different name in the interpreter.
    told = {name for name in counts if backend.total_ops is not None and not name.startswith("BUILTIN_")}
    kinds = (
        OperationKind(name, count, macs[name], count - left[name] if name in told else None)
        for name, count in counts.items()
    )
    return tuple(sorted(kinds, key=lambda kind: (-kind.macs, -kind.count, kind.name)))


def _stated_accuracy(classifier: Classifier) -> Accuracy | None:
    """Return the accuracy stored in this model file, that of the test split if possible."""
    manifest = classifier.model.manifest
    for measured in sorted(manifest.accuracy if manifest else (), key=lambda entry: entry.split != "test"):
        value = measured.int8 if classifier.model.is_quantized else measured.fp32
        if value is not None:
            low, high = share_interval(round(value * measured.count), measured.count)
            return Accuracy(value, "manifest", measured.split, measured.count, min(low, value), max(high, value))
    return None


def _same(one: Model, other: Model) -> bool:
    if isinstance(one, (str, os.PathLike)) and isinstance(other, (str, os.PathLike)):
        return Path(one).resolve() == Path(other).resolve()
    return one is other or (isinstance(one, ClassifierOptions) and one == other)
