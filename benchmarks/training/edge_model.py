"""Speed, size and accuracy of the edge model (distilled, channel-pruned, INT8) against its FP32 teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness.figure import Figure
from benchmarks.subjects.photo_runs import edge_run, teacher_recipe, variant_of

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.types import RunResult

_SETS = ("clothing", "trashnet")
_WHAT = "the edge model (MobileNetV2 0.35, 160 px, distilled, pruned, INT8) against MobileNetV2 1.0, 224 px, FP32"


def measure(quick: bool) -> list[Figure]:
    return [figure for data in _SETS for figure in _figures(data, quick)]


def _figures(data: str, quick: bool) -> list[Figure]:
    result = edge_run(data, quick)
    baseline = result.report.parent / "stages" / "quantize" / "teacher_fp32.tflite"
    speeds = {backend: _speed(result.int8, baseline, backend, quick) for backend in _backends()}
    best = max(speeds, key=lambda backend: speeds[backend]["inference_speedup"]["ratio"])
    speedup = speeds[best]["inference_speedup"]
    others = "; ".join(f"{name}: {speed['inference_speedup']['ratio']:.1f}×" for name, speed in speeds.items())
    small, large = result.int8.stat().st_size, baseline.stat().st_size
    return [
        Figure(
            f"edge_model.{data}_speed",
            f"Speed of {_WHAT} ({data})",
            speedup["ratio"],
            "×",
            f"{speeds[best]['inference']['p50_ms']:.2f} ms, inference, 1 thread; best backend {best} ({others})",
            low=speedup["low"],
            high=speedup["high"],
            at_least=8.0,
        ),
        Figure(
            f"edge_model.{data}_size",
            f"File of {_WHAT} ({data})",
            large / small,
            "× smaller",
            f"{small:,} against {large:,} bytes",
            at_least=12.0,
        ),
        Figure(
            f"edge_model.{data}_drop", f"What it loses on {data}", _drop(result), "points", _steps(result), at_most=2
        ),
    ]


def _backends() -> list[str]:
    from importlib.util import find_spec

    return [name for name in ("tflite_runtime", "ai_edge_litert") if find_spec(name)]


def _speed(int8: Path, baseline: Path, backend: str, quick: bool) -> dict[str, Any]:
    from edge_runtime.benchmark import benchmark

    seconds = 2.0 if quick else 20.0
    report = benchmark([int8], baseline=baseline, seconds=seconds, num_threads=1, backend=backend)
    return next(model for model in report.to_dict()["models"] if model["path"] == str(int8))


def _drop(result: RunResult) -> float:
    int8 = next(variant for variant in result.variants if variant.ships and variant.precision != "fp32")
    return 100 * (variant_of(result, "teacher_fp32").accuracies["test"] - int8.accuracies["test"])


def _steps(result: RunResult) -> str:
    steps = ", ".join(f"{variant.title} {variant.accuracies['test']:.1%}" for variant in result.variants)
    return f"test photos: {steps}; the baseline was fine-tuned for {teacher_recipe().finetune.epochs} epochs"
