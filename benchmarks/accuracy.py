"""Accuracy of the default recipe on real photos, on their test splits, FP32 and INT8: a quarter of an hour each."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.inputs import ROOT, shared

if TYPE_CHECKING:
    from trainer.pipeline import RunResult

_LEAST_PERCENT = {"trashnet": 87.0, "clothing": 86.0}


def measure(quick: bool) -> list[Figure]:
    photos = {name: shared(f"data/{name}") for name in _LEAST_PERCENT}
    os.environ["KERAS_HOME"] = str(shared("keras"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return [figure for name in photos for figure in _measure(name, photos[name], quick)]


def _measure(name: str, photos: Path, quick: bool) -> list[Figure]:
    from trainer.pipeline import train
    from trainer.recipe import read_recipe

    recipe = read_recipe("default", ["head.epochs=2", "finetune.epochs=0"] if quick else [])
    started = datetime.now(timezone.utc)
    run = train(photos, ROOT / "runs" / f"accuracy-{name}-{started:%Y%m%d-%H%M%S}", recipe)
    minutes = (datetime.now(timezone.utc) - started).total_seconds() / 60
    return _figures(name, run, f"default recipe ({recipe.model.backbone}), {minutes:.0f} min in all")


def _figures(name: str, run: RunResult, made: str) -> list[Figure]:
    fp32, int8 = run.evaluations["fp32"]["test"], run.evaluations["int8"]["test"]
    agreement = sum(a == b for a, b in zip(fp32.predicted, int8.predicted, strict=True)) / int8.count
    drop = 100 * (fp32.accuracy - int8.accuracy)
    int8_bytes, fp32_bytes = run.int8.stat().st_size, run.fp32.stat().st_size
    return [
        Figure(
            f"accuracy.{name}_int8",
            f"Test accuracy on {name}, INT8",
            100 * int8.accuracy,
            "%",
            f"{int8.count} photos, {made}; {100 * agreement:.1f}% of the answers are FP32's; {int8.kernels}",
            at_least=_LEAST_PERCENT[name],
        ),
        Figure(f"accuracy.{name}_fp32", f"Test accuracy on {name}, FP32", 100 * fp32.accuracy, "%", fp32.kernels),
        Figure(
            f"accuracy.{name}_drop",
            f"What INT8 loses on {name}, in points",
            drop,
            "points",
            f"{100 * fp32.accuracy:.1f}% to {100 * int8.accuracy:.1f}%",
            at_most=1.0,
        ),
        Figure(
            f"accuracy.{name}_size",
            f"Size of the INT8 file that ships, against the FP32 file ({name})",
            100 * int8_bytes / fp32_bytes,
            "%",
            f"{int8_bytes:,} against {fp32_bytes:,} bytes",
            at_most=30.0,
        ),
    ]
