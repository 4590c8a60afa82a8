"""What a benchmark found: values, and the JSON that is kept of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from edge_runtime.device.machine import Machine
from edge_runtime.types import BackendInfo

SCHEMA_VERSION = 3
"""Of `BenchmarkReport.to_dict`; it changes when a key goes or means something else, not when one is added."""

EndedBy = Literal["seconds", "rounds", "precision", "interrupted", "running"]
"""Why the rounds ended. ``"running"``: they haven't, the report was kept in case the run is killed."""


@dataclass(frozen=True)
class Timing:
    """How long one thing took, over many runs, in milliseconds.

    Attributes:
        count: Runs.
        mean_ms: Their mean.
        min_ms: The fastest.
        p50_ms: Their median.
        p90_ms: Nine of ten were faster.
        p99_ms: 99 of 100 were faster.
        low_ms: The lower end of the median's 95% bootstrap interval over rounds.
        high_ms: Its upper end.
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
        """Frames per second that the mean allows."""
        return 1000 / self.mean_ms

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "fps": self.fps}


@dataclass(frozen=True)
class Speedup:
    """How many times as fast as the baseline, and its 95% interval; see `timing.statistics`."""

    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """In words, without claiming what the interval doesn't carry."""
        if self.low <= 1 <= self.high:
            return "not measurably faster or slower than"
        return "faster than" if self.ratio > 1 else "slower than"


@dataclass(frozen=True)
class Start:
    """What a fresh process took: the medians over some of them. The files were in the disk cache.

    Attributes:
        processes: How many were started.
        load_ms: From path to classifier: reading and checking the file, the interpreter, its tensors.
        first_ms: The first classification, which allocates and packs weights.
        cold_start_ms: From the start of the process to the first result, Python and imports included.
        peak_bytes: The most memory that the process held, Python and libraries included.
    """

    processes: int
    load_ms: float
    first_ms: float
    cold_start_ms: float
    peak_bytes: int


@dataclass(frozen=True)
class Accuracy:
    """How often the best class is the right one.

    Attributes:
        value: Share of right answers, 0–1.
        source: ``"measured"``: on the photos given, by this run; ``"manifest"``: as the file states it.
        split: Of the manifest's figure: ``"test"`` or ``"val"``; empty for a measured one.
        photos: How many it was measured on.
        low: The lower end of its 95% interval (Wilson, 1927).
        high: Its upper end.
        agreement: Share of photos with the baseline's answer, 0–1; None for the manifest's figure or no baseline.
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
    """What a classification took, of all that the meter sees: other programs included.

    Attributes:
        meter: Where it was read.
        per_frame_mj: Millijoules for one frame through the whole pipeline.
        busy_w: Power while classifying, one frame after the other.
        idle_w: Power just before.
    """

    meter: str
    per_frame_mj: float
    busy_w: float
    idle_w: float


@dataclass(frozen=True)
class OperationKind:
    """The operations of one name in a model.

    Attributes:
        name: As the schema has it, such as ``"CONV_2D"``.
        count: How many there are.
        macs: Their multiply-adds in one inference, all together; 0 for what has no weights.
        delegated: How many of them XNNPACK runs; None where the backend doesn't tell.
    """

    name: str
    count: int
    macs: int
    delegated: int | None


@dataclass(frozen=True)
class ModelResult:
    """One model's figures.

    Attributes:
        name: For the table: file name, with what tells two of the same name apart.
        path: Of the file.
        sha256: Of the model's bytes.
        size_bytes: Of the file.
        precision: ``"INT8"`` or ``"FP32"``.
        input_height: Of the network's input, in pixels.
        input_width: The same.
        classes: Their names, by index.
        backend: What ran it.
        accuracy: Measured here or stated by the file; None where neither is.
        inference: The network alone.
        preprocess: From frame to network input, within the pipeline.
        postprocess: From network output to categories, within the pipeline.
        pipeline: From frame to categories.
        warmup_runs: Classifications before the first round, of all heats together.
        steady: Whether its latency had become steady by then; True where the number of runs was given.
        operations: What it is made of, most multiply-adds first.
        start: Of a fresh process; None where none was started.
        inference_speedup: Against the baseline; None for the baseline and without one.
        pipeline_speedup: The same, for the pipeline.
        energy: None where the machine has no meter that may be read.
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
        """For JSON."""
        parts = ("inference", "preprocess", "postprocess", "pipeline")
        timings = {part: getattr(self, part).to_dict() for part in parts}
        return {**asdict(self), "backend": self.backend.to_dict(), **timings}


@dataclass(frozen=True)
class Failure:
    """A model that couldn't be measured, and why."""

    name: str
    path: str
    reason: str


@dataclass(frozen=True)
class Capture:
    """How fast a source delivers, read by nobody else meanwhile.

    Attributes:
        source: What it is, in words.
        live: Whether it goes by its own clock, so that the times hold the waiting for the next frame.
        timing: Of one frame.
    """

    source: str
    live: bool
    timing: Timing


@dataclass(frozen=True)
class ThreadTrial:
    """One number of threads in a sweep."""

    num_threads: int
    inference: Timing


@dataclass(frozen=True)
class ThreadSweep:
    """How a model's latency depends on the number of threads.

    Attributes:
        model: File name.
        backend: That ran it.
        trials: From one thread to all the cores.
        best: The fewest that are as good as the best and leave a core free.
        remembered: Whether `Classifier(num_threads=None)` takes it from now on; not where the machine was too busy
            or too hot for the sweep to be relied on, or the user's cache can't be written.
    """

    model: str
    backend: str
    trials: tuple[ThreadTrial, ...]
    best: int
    remembered: bool


@dataclass(frozen=True)
class Sample:
    """A stretch of a sustained run.

    Attributes:
        seconds: Since its start, at the end of the stretch.
        fps: Frames per second through the whole pipeline.
        p99_ms: Of one frame.
        temperature_c: At the end of the stretch; None where the machine doesn't tell.
        clock_mhz: The same.
        throttled: The same: what holds the clock down.
    """

    seconds: float
    fps: float
    p99_ms: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: tuple[str, ...] | None


@dataclass(frozen=True)
class Sustained:
    """One model at full speed for minutes."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def kept(self) -> float:
        """Frames per second of the last tenth over those of the first."""
        tenth = max(1, len(self.samples) // 10)
        first, last = self.samples[:tenth], self.samples[-tenth:]
        return sum(sample.fps for sample in last) / sum(sample.fps for sample in first)


@dataclass(frozen=True)
class BenchmarkReport:
    """One benchmark run.

    Attributes:
        machine: It ran on, as it was before the first round.
        models: Their figures, in the order given, the baseline last unless it is one of them.
        failures: Models that couldn't be measured.
        baseline: Name of the model that the speed-ups refer to; None without one.
        rounds: In each of which every model had its turn, in random order.
        heats: Processes over which the rounds were dealt; 0: all were in the process that was already there.
        ended_by: Why there weren't more.
        frame_height: Of the frame that was classified.
        frame_width: The same.
        seed: Of the order and of the bootstrap.
        date: When it ended, ISO 8601, UTC.
        timer_ms: What timing one run adds to it.
        others_cores: How many cores other programs took during the rounds; None where the system doesn't tell.
        capture: Of the source; None without one.
        sweeps: Of the numbers of threads.
        sustained: Of the first model, where it was asked for.
        invalid: Why the figures say nothing about the models; empty for a valid run.
        warnings: What makes the figures worse, or the comparison unfair.
        schema_version: Of `to_dict`.
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
        """For JSON."""
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
        """What the figures say in plain sentences: each model against the baseline, and what limits the source."""
        return (*self._speedups(), *self._limits())

    def _speedups(self) -> list[str]:
        return [
            f"{model.name} ({model.precision}) is {model.inference_speedup.verdict} "
            f"{self.baseline}{self._baseline_precision()}: {_interval(model.inference_speedup)} its speed in inference "
            f"alone, {_interval(model.pipeline_speedup)} in the whole pipeline."
            for model in self.models
            if model.inference_speedup and model.pipeline_speedup
        ]

    def _baseline_precision(self) -> str:
        return "".join(f" ({model.precision})" for model in self.models if model.name == self.baseline)

    def _limits(self) -> list[str]:
        if self.capture is None:
            return []
        given = self.capture.timing.fps
        found = [f"The source gives {given:.1f} frames per second."]
        for model in self.models:
            taken = model.pipeline.fps
            limit = "the source is the limit" if given < taken else f"its {_slowest_part(model)} is the limit"
            found.append(f"{model.name} can classify {taken:.1f} frames per second: {limit}.")
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
    return f"{speedup.ratio:.{digits}f} times (95% interval {low}–{high})"
