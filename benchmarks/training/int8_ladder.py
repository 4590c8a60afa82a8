"""Quantization ladder on MobileNetV3-Small, the network that loses most accuracy with plain INT8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure
from benchmarks.subjects.photo_runs import photo_run, variant_of

if TYPE_CHECKING:
    from trainer.config import Recipe

_DATA = "clothing"


def measure(quick: bool) -> list[Figure]:
    result = photo_run("ladder", _DATA, recipe(), quick)
    ladder = {step.name: step for step in result.rungs}
    chosen = next(step for step in result.rungs if step.chosen)
    fp32, int8 = (variant_of(result, f"student_{kind}") for kind in ("fp32", "int8"))
    steps = "; ".join(f"{step.title}: {-step.drop:+.2f}" for step in result.rungs)
    return [
        Figure(
            "int8_ladder.drop",
            f"What MobileNetV3-Small loses by INT8 on {_DATA} at the ladder's end",
            100 * (fp32.accuracies["test"] - int8.accuracies["test"]),
            "points",
            f"test photos: {fp32.accuracies['test']:.1%} to {int8.accuracies['test']:.1%}; on validation {steps}",
            at_most=1.0,
        ),
        Figure(
            "int8_ladder.repaired",
            "The model that the ladder chose, against plain INT8",
            100 * (chosen.accuracy - ladder["plain"].accuracy),
            "points",
            f"validation photos; chosen: {chosen.title}",
            at_least=-0.3,
        ),
    ]


def recipe() -> Recipe:
    """Return the recipe of the run."""
    from trainer.config.recipe_file import read_recipe

    return read_recipe("default", ["model.backbone=mobilenet_v3_small", "finetune.epochs=12", "quantize.samples=256"])
