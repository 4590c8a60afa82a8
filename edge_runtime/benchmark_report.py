"""What a benchmark found, and how it reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime.machine import Machine
from edge_runtime.types import BackendInfo

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Timing:
    """How long one thing took, over many runs, in milliseconds."""

    count: int
    mean_ms: float
    min_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float

    @property
    def fps(self) -> float:
        """Frames per second that the mean allows."""
        return 1000 / self.mean_ms

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "fps": self.fps}


@dataclass(frozen=True)
class Speedup:
    """How many times as fast as the baseline: the median over paired rounds, and its 95% bootstrap interval."""

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
class ModelResult:
    """One model's figures.

    Attributes:
        name: For the table: file name, with what tells two of the same name apart.
        path: Of the file.
        sha256: Of the model's bytes.
        size_bytes: Of the file.
        precision: ``"INT8"`` or ``"FP32"``.
        backend: What ran it.
        accuracy: As the manifest states it, 0–1; None where it doesn't. It was not measured here.
        accuracy_split: Which photos that was on: ``"test"`` or ``"val"``; empty without accuracy.
        inference: The network alone.
        pipeline: From frame to categories.
        inference_speedup: Against the baseline; None for the baseline and without one.
        pipeline_speedup: The same, for the pipeline.
    """

    name: str
    path: str
    sha256: str
    size_bytes: int
    precision: str
    backend: BackendInfo
    accuracy: float | None
    accuracy_split: str
    inference: Timing
    pipeline: Timing
    inference_speedup: Speedup | None = None
    pipeline_speedup: Speedup | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        timings = {"inference": self.inference.to_dict(), "pipeline": self.pipeline.to_dict()}
        return {**asdict(self), "backend": self.backend.to_dict(), **timings}


@dataclass(frozen=True)
class BenchmarkReport:
    """One benchmark run.

    Attributes:
        machine: It ran on, as it was before the first round.
        models: Their figures, in the order given, the baseline last unless it is one of them.
        baseline: Name of the model that the speed-ups refer to; None without one.
        rounds: In each of which every model had its turn, in random order.
        warmup: Runs of each model before the first round.
        frame_height: Of the frame that was classified.
        frame_width: The same.
        seed: Of the order and of the bootstrap.
        warnings: What makes the figures worse, or the comparison unfair.
        schema_version: Of `to_dict`.
    """

    machine: Machine
    models: tuple[ModelResult, ...]
    baseline: str | None
    rounds: int
    warmup: int
    frame_height: int
    frame_width: int
    seed: int
    warnings: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "machine": self.machine.to_dict(),
            "models": [model.to_dict() for model in self.models],
            "warnings": list(self.warnings),
        }

    def sentences(self) -> tuple[str, ...]:
        """What the figures say, one plain sentence for each model that has a baseline."""
        return tuple(
            f"{model.name} ({model.precision}) is {model.inference_speedup.verdict} "
            f"{self.baseline}{self._baseline_precision()}: {_interval(model.inference_speedup)} its speed in inference "
            f"alone, {_interval(model.pipeline_speedup)} in the whole pipeline."
            for model in self.models
            if model.inference_speedup and model.pipeline_speedup
        )

    def _baseline_precision(self) -> str:
        return "".join(f" ({model.precision})" for model in self.models if model.name == self.baseline)


def _interval(speedup: Speedup) -> str:
    digits = 2 if speedup.low >= 0.1 else 3
    low, high = (f"{value:.{digits}f}" for value in (speedup.low, speedup.high))
    return f"{speedup.ratio:.{digits}f} times (95% interval {low}–{high})"


def format_text(report: BenchmarkReport) -> str:
    """The report for a terminal."""
    rows = [_HEADINGS, *(_cells(model) for model in report.models)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    table = [
        "  ".join(cell.ljust(width) if column == 0 else cell.rjust(width) for column, (cell, width) in pairs).rstrip()
        for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    return "\n".join([*table, "", *_notes(report)])


def format_markdown(report: BenchmarkReport) -> str:
    """The report as a Markdown table with notes below."""
    lines = [_HEADINGS, tuple(["---"] + ["---:"] * (len(_HEADINGS) - 1)), *(_cells(model) for model in report.models)]
    table = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return "\n".join([*table, "", *(f"- {note}" for note in _notes(report) if note)])


_HEADINGS = (
    "model",
    "type",
    "size KiB",
    "accuracy",
    "inference p50 ms",
    "p90",
    "p99",
    "inference FPS",
    "pipeline p50 ms",
    "p90",
    "p99",
    "pipeline FPS",
    "speed-up",
    "XNNPACK",
)


def _cells(model: ModelResult) -> tuple[str, ...]:
    def times(timing: Timing) -> tuple[str, ...]:
        return (*(f"{value:.2f}" for value in (timing.p50_ms, timing.p90_ms, timing.p99_ms)), f"{timing.fps:.1f}")

    backend = model.backend
    return (
        model.name,
        model.precision,
        f"{model.size_bytes / 1024:.0f}",
        "–" if model.accuracy is None else f"{model.accuracy:.1%}",
        *times(model.inference),
        *times(model.pipeline),
        f"{model.inference_speedup.ratio:.3g}×" if model.inference_speedup else "–",
        "–" if backend.delegated_ops is None else f"{backend.delegated_ops}/{backend.total_ops} ops",
    )


def _notes(report: BenchmarkReport) -> list[str]:
    machine = report.machine
    facts = [
        machine.board,
        machine.cpu,
        f"{machine.cores} cores",
        machine.architecture,
        f"governor {machine.governor}" if machine.governor else None,
        f"{machine.clock_mhz:.0f} MHz" if machine.clock_mhz else None,
        f"{machine.temperature_c:.0f} °C" if machine.temperature_c else None,
        f"load {machine.load:.1f}" if machine.load is not None else None,
        machine.kernel,
        f"Python {machine.python}",
    ]
    backends = dict.fromkeys(
        f"{model.backend.name} {model.backend.version}, threads: {model.backend.num_threads}" for model in report.models
    )
    kernels = dict.fromkeys(model.backend.int8_kernels for model in report.models if model.precision == "INT8")
    splits = dict.fromkeys(model.accuracy_split for model in report.models if model.accuracy_split)
    hashes = ", ".join(f"{model.name} {model.sha256[:12]}" for model in report.models)
    return [
        *report.sentences(),
        *(f"Warning: {warning}" for warning in report.warnings),
        "Machine: " + ", ".join(fact for fact in facts if fact),
        "Backend: " + "; ".join(backends) + (f"; INT8 kernels: {', '.join(kernels)}" if kernels else ""),
        f"Run: {report.rounds} rounds in random order, {report.warmup} runs of each to warm up, "
        f"frame {report.frame_width}×{report.frame_height}; "
        "pipeline: preprocessing, inference and postprocessing; FPS from the mean.",
        *([f"Accuracy: from the manifest ({', '.join(splits)} split), not measured here."] if splits else []),
        f"SHA-256: {hashes}",
    ]
