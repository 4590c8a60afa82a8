"""Results of a benchmark, and their JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge_runtime.device.machine import Machine
from edge_runtime.types import BackendInfo

SCHEMA_VERSION = 3
"""Version of `BenchmarkReport.to_dict`. Removing or redefining a key changes it, adding a key does not."""

EndedBy = Literal["seconds", "rounds", "precision", "interrupted", "running"]
"""Reason why the rounds ended. ``"running"``: not yet; the report was saved in case the process is killed."""


@dataclass(frozen=True)
class Timing:
    """Latency over many runs, in milliseconds.

    Attributes:
        count: Number of runs.
        mean_ms: Mean.
        min_ms: Fastest run.
        p50_ms: Median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        low_ms: Lower end of the median's 95% bootstrap interval over rounds.
        high_ms: Upper end of that interval.
    """

    count: int
    mean_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    low_ms: float
    high_ms: float

    @property
    def fps(self) -> float:
        """Throughput in frames per second, from the mean."""
        return 1000 / self.mean_ms

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "fps": self.fps}


@dataclass(frozen=True)
class Speedup:
    """Speed relative to the baseline (2.0: twice as fast), with its 95% interval; see `timing.statistics`."""

    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Comparison in words, which claims no difference if the interval contains 1."""
        if self.low <= 1 <= self.high:
            return "not measurably faster or slower than"
        return "faster than" if self.ratio > 1 else "slower than"


@dataclass(frozen=True)
class Start:
    """Start-up cost in fresh processes (medians), with the model file in the disk cache.

    Attributes:
        processes: Number of processes measured.
        load_ms: Time to create the classifier: reading and checking the file, creating the interpreter.
        first_ms: Time of the first classification, which allocates and packs weights.
        cold_start_ms: Time from process start to the first result, including Python and imports.
        peak_bytes: Peak memory of the process, including Python and libraries.
    """

    processes: int
    load_ms: float
    first_ms: float
    cold_start_ms: float
    peak_bytes: int


@dataclass(frozen=True)
class Accuracy:
    """Top-1 accuracy.

    Attributes:
        value: Share of correct predictions, 0–1.
        source: ``"measured"``: in this run, on the given photos; ``"manifest"``: stored in the model file.
        split: Split that the manifest's accuracy is for, ``"test"`` or ``"val"``; empty if measured.
        photos: Number of photos it was measured on.
        low: Lower end of its 95% interval (Wilson, 1927).
        high: Upper end of that interval.
        agreement: Share of photos with the same prediction as the baseline, 0–1; None if not measured, or without a
            baseline.
    """

    value: float
    source: Literal["measured", "manifest"]
    split: str
    photos: int
    low: float
    high: float
    agreement: float | None = None


@dataclass(frozen=True)
class Energy:
    """Energy per classification, as seen by the meter, which includes other programs.

    Attributes:
        meter: Name of the meter.
        per_frame_mj: Energy per frame through the full pipeline, in millijoules.
        busy_w: Power while classifying continuously, in watts.
        idle_w: Power just before, in watts.
    """

    meter: str
    per_frame_mj: float
    busy_w: float
    idle_w: float


@dataclass(frozen=True)
class OperationKind:
    """All operators of one type in a model.

    Attributes:
        name: Operator name in the TensorFlow Lite schema, such as ``"CONV_2D"``.
        count: Number of these operators.
        macs: Total multiply-adds per inference; 0 for operators without weights.
        delegated: Number of them that XNNPACK runs; None if the backend does not report it.
    """

    name: str
    count: int
    macs: int
    delegated: int | None


@dataclass(frozen=True)
class ModelResult:
    """Results of one model.

    Attributes:
        name: Row name: the file name, plus what distinguishes rows with the same file name.
        path: Path of the model file.
        sha256: SHA-256 of the model file, in hexadecimal.
        size_bytes: Size of the model file.
        precision: ``"INT8"`` or ``"FP32"``.
        input_height: Input height of the network, in pixels.
        input_width: Input width of the network, in pixels.
        classes: Class names, by index.
        backend: Backend that ran the model.
        accuracy: Accuracy measured here or stored in the file; None if there is neither.
        inference: Latency of the network alone.
        preprocess: Latency from frame to network input, within the pipeline.
        postprocess: Latency from network output to categories, within the pipeline.
        pipeline: Latency from frame to categories.
        warmup_runs: Number of warm-up classifications, over all processes.
        steady: True if the latency was steady after the warm-up, or the number of warm-up runs was given.
        operations: Operators of the model, most multiply-adds first.
        start: Start-up cost in fresh processes; None if not measured.
        inference_speedup: Inference speed relative to the baseline; None for the baseline, or without one.
        pipeline_speedup: Pipeline speed relative to the baseline; None for the baseline, or without one.
        energy: Energy per frame; None if the machine has no readable meter.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    precision: str
    input_height: int
    input_width: int
    classes: tuple[str, ...]
    backend: BackendInfo
    accuracy: Accuracy | None
    inference: Timing
    preprocess: Timing
    postprocess: Timing
    pipeline: Timing
    warmup_runs: int
    steady: bool
    operations: tuple[OperationKind, ...] = ()
    start: Start | None = None
    inference_speedup: Speedup | None = None
    pipeline_speedup: Speedup | None = None
    energy: Energy | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        parts = ("inference", "preprocess", "postprocess", "pipeline")
        timings = {part: getattr(self, part).to_dict() for part in parts}
        return {**asdict(self), "backend": self.backend.to_dict(), **timings}


@dataclass(frozen=True)
class Failure:
    """A model that could not be measured, and the reason."""

    name: str
    path: str
    reason: str


@dataclass(frozen=True)
class Capture:
    """Frame rate of a source that is read as fast as possible.

    Attributes:
        source: Description of the source.
        live: Whether the source is live, so that the times include waiting for the next frame.
        timing: Time per frame.
    """

    source: str
    live: bool
    timing: Timing


@dataclass(frozen=True)
class ThreadTrial:
    """Latency with one number of threads in a sweep."""

    num_threads: int
    inference: Timing


@dataclass(frozen=True)
class ThreadSweep:
    """Latency of a model by number of threads.

    Attributes:
        model: File name of the model.
        backend: Name and version of the backend.
        trials: Latency from one thread up to all cores.
        best: Smallest number of threads that is about as fast as the best and leaves a core free.
        remembered: Whether `Classifier(num_threads=None)` uses it from now on. False if the machine was too busy or
            throttled for a reliable sweep, or the user's cache folder is not writable.
    """

    model: str
    backend: str
    trials: tuple[ThreadTrial, ...]
    best: int
    remembered: bool


@dataclass(frozen=True)
class Sample:
    """One interval of a sustained run.

    Attributes:
        seconds: End of the interval, in seconds since the start of the run.
        fps: Throughput of the full pipeline, in frames per second.
        p99_ms: 99th percentile of the latency per frame.
        temperature_c: Temperature at the end of the interval; None if unknown.
        clock_mhz: Clock frequency at the end of the interval; None if unknown.
        throttled: Reasons for throttling at the end of the interval; None if unknown.
    """

    seconds: float
    fps: float
    p99_ms: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...] | None


@dataclass(frozen=True)
class Sustained:
    """One model running at full speed for minutes."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def kept(self) -> float:
        """Throughput in the last tenth of the run divided by that in the first tenth."""
        tenth = max(1, len(self.samples) // 10)
        first, last = self.samples[:tenth], self.samples[-tenth:]
        return sum(sample.fps for sample in last) / sum(sample.fps for sample in first)


@dataclass(frozen=True)
class BenchmarkReport:
    """Results of one benchmark run.

    Attributes:
        machine: Machine that ran the benchmark, as it was before the first round.
        models: Results per model, in the given order; the baseline is last unless it is one of the given models.
        failures: Models that could not be measured.
        baseline: Name of the model that the speedups refer to; None without one.
        rounds: Number of rounds. In each round every model has one turn, in random order.
        heats: Number of fresh processes that the rounds were spread over; 0 if all ran in the calling process.
        ended_by: Reason why the rounds ended.
        frame_height: Height of the classified frame, in pixels.
        frame_width: Width of the classified frame, in pixels.
        seed: Seed of the order of turns and of the bootstrap.
        date: End of the run, ISO 8601, UTC.
        timer_ms: Overhead that the timer adds to each run.
        others_cores: Average number of cores that other programs used during the rounds; None if unknown.
        capture: Frame rate of the source; None without one.
        sweeps: Latency by number of threads, one sweep per model.
        sustained: Sustained run of the first model, if requested.
        invalid: Reasons not to use the figures; empty for a valid run.
        warnings: What makes the figures worse than necessary, or the comparison unfair.
        schema_version: Version of the `to_dict` form.
    """

    machine: Machine
    models: tuple[ModelResult, ...]
    failures: tuple[Failure, ...]
    baseline: str | None
    rounds: int
    ended_by: EndedBy
    frame_height: int
    frame_width: int
    seed: int
    date: str
    timer_ms: float
    heats: int = 0
    others_cores: float | None = None
    capture: Capture | None = None
    sweeps: tuple[ThreadSweep, ...] = ()
    sustained: Sustained | None = None
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        capture = self.capture and {**asdict(self.capture), "timing": self.capture.timing.to_dict()}
        return {
            **asdict(self),
            "machine": self.machine.to_dict(),
            "models": [model.to_dict() for model in self.models],
            "capture": capture,
            "invalid": list(self.invalid),
            "warnings": list(self.warnings),
        }

    def sentences(self) -> tuple[str, ...]:
        """Summarize the results in sentences: each model against the baseline, and what limits the frame rate."""
        return (*self._speedups(), *self._limits())

    def _speedups(self) -> list[str]:
        return [
            f"{model.name} ({model.precision}) is {model.inference_speedup.verdict} "
            f"{self.baseline}{self._baseline_precision()}: inference {_interval(model.inference_speedup)}, "
            f"full pipeline {_interval(model.pipeline_speedup)}."
            for model in self.models
            if model.inference_speedup and model.pipeline_speedup
        ]

    def _baseline_precision(self) -> str:
        return "".join(f" ({model.precision})" for model in self.models if model.name == self.baseline)

    def _limits(self) -> list[str]:
        if self.capture is None:
            return []
        given = self.capture.timing.fps
        found = [f"The source delivers {given:.1f} FPS."]
        for model in self.models:
            taken = model.pipeline.fps
            limit = "the source" if given < taken else f"its {_slowest_part(model)}"
            found.append(f"{model.name} can classify {taken:.1f} FPS: {limit} is the bottleneck.")
        return found


def _slowest_part(model: ModelResult) -> str:
    parts = {
        "preprocessing": model.preprocess.mean_ms,
        "inference": model.inference.mean_ms,
        "postprocessing": model.postprocess.mean_ms,
    }
    return max(parts, key=lambda part: parts[part])


def _interval(speedup: Speedup) -> str:
    digits = 2 if speedup.low >= 0.1 else 3
    low, high = (f"{value:.{digits}f}" for value in (speedup.low, speedup.high))
    return f"{speedup.ratio:.{digits}f}× as fast (95% interval {low}–{high})"
