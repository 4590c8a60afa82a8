"""Inference latency by input size, network width, number of classes and number of threads."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.harness.figure import Figure
from benchmarks.subjects.models import build_pair

if TYPE_CHECKING:
    from edge_runtime.benchmark import BenchmarkReport, ModelResult

Number = TypeVar("Number", int, float)

_SIZES = (96, 128, 160, 192, 224)
_WIDTHS = (0.35, 0.5, 0.75, 1.0)
_CLASSES = (2, 10, 100, 1_000, 10_000)
_NARROW, _FULL = "mobilenet_v2_0.35", "mobilenet_v2_1.0"
_PROCESSES = 4
_SECONDS_EACH = 4.0
_LINEAR = 1.25
"""Growth up to a quarter faster than the work still counts as linear, because small networks leave units idle."""


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sizes = {f"{size} px": build_pair(folder, _NARROW, size).int8 for size in _ends(_SIZES, quick)}
        widths = {f"width {width}": build_pair(folder, f"mobilenet_v2_{width}").int8 for width in _ends(_WIDTHS, quick)}
        classes = {
            f"{count:,} classes": build_pair(folder, _NARROW, classes=count).int8 for count in _ends(_CLASSES, quick)
        }
        return [
            _growth("size", "the picture's size, MobileNetV2 0.35", sizes, quick),
            _growth("width", "the network's width, 224 px", widths, quick),
            _classes(classes, quick),
            _threads(build_pair(folder, _FULL).int8, quick),
        ]


def _growth(detail: str, what: str, models: Mapping[str, Path], quick: bool) -> Figure:
    """Compare the time per multiply-add of the largest model with that of the smallest."""
    report = _measured(models, quick)
    first, *_, last = report.models
    work = _macs(last) / _macs(first)
    assert last.inference_speedup is not None
    speedup = last.inference_speedup
    return Figure(
        name=f"scaling.{detail}",
        what=f"Time for a multiply-add with {what}: {list(models)[-1]} against {next(iter(models))}",
        value=1 / speedup.ratio / work,
        low=1 / speedup.high / work,
        high=1 / speedup.low / work,
        unit="×",
        at_most=_LINEAR,
        conditions=_points(models, report),
    )


def _classes(models: Mapping[str, Path], quick: bool) -> Figure:
    report = _measured(models, quick)
    first, *_, last = report.models
    assert last.pipeline_speedup is not None
    speedup = last.pipeline_speedup
    return Figure(
        name="scaling.classes",
        what=f"Time from frame to best class with {list(models)[-1]}, against {next(iter(models))}",
        value=1 / speedup.ratio,
        low=1 / speedup.high,
        high=1 / speedup.low,
        unit="×",
        conditions=f"multiply-adds {_macs(last) / _macs(first):.2f}×; {_points(models, report)}",
    )


def _threads(model: Path, quick: bool) -> Figure:
    """Compare all numbers of threads with one thread."""
    from edge_runtime.benchmark import benchmark
    from edge_runtime.inference.device_cache import usable_cores
    from edge_runtime.inference.options import ClassifierOptions

    models = [ClassifierOptions(str(model), num_threads=number) for number in range(1, usable_cores() + 1)]
    report = benchmark(
        models, baseline=models[0], seconds=_seconds(len(models), quick), processes=1 if quick else _PROCESSES
    )
    best = max(report.models[1:] or report.models, key=lambda one: one.inference.fps)
    times = ", ".join(f"{one.backend.num_threads}: {one.inference.p50_ms:.2f} ms" for one in report.models)
    speedup = best.inference_speedup
    return Figure(
        name="scaling.threads",
        what=f"Speed with {best.backend.num_threads} threads, against one (MobileNetV2 1.0, 224 px, INT8)",
        value=speedup.ratio if speedup else None,
        low=speedup.low if speedup else None,
        high=speedup.high if speedup else None,
        unit="×",
        conditions=f"p50 by threads: {times}" + ("" if speedup else "; the machine has one core"),
    )


def _measured(models: Mapping[str, Path], quick: bool) -> BenchmarkReport:
    """Benchmark all models, with the smallest one as the baseline."""
    from edge_runtime.benchmark import benchmark

    files = list(models.values())
    return benchmark(
        files,
        baseline=files[0],
        seconds=_seconds(len(files), quick),
        num_threads=1,
        processes=1 if quick else _PROCESSES,
    )


def _seconds(models: int, quick: bool) -> float:
    return models * (0.5 if quick else _SECONDS_EACH)


def _macs(model: ModelResult) -> int:
    return sum(kind.macs for kind in model.operations)


def _points(models: Mapping[str, Path], report: BenchmarkReport) -> str:
    """Describe each model: multiply-adds, latency, and memory of a process that classifies with it."""
    points = []
    for name, model in zip(models, report.models, strict=True):
        assert model.start is not None
        points.append(
            f"{name}: {_macs(model) / 1e6:.1f} M, {model.inference.p50_ms:.2f} ms, pipeline "
            f"{model.pipeline.p50_ms:.2f} ms, {model.start.peak_bytes / 2**20:.0f} MiB"
        )
    return f"INT8, 1 thread; multiply-adds, p50, peak of a process; {'; '.join(points)}"


def _ends(values: Sequence[Number], quick: bool) -> Sequence[Number]:
    return (values[0], values[-1]) if quick else values
