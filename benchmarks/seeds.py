"""Accuracy of the default recipe, INT8 and FP32, as a mean of three seeds."""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.photo_runs import photo_run, use_shared_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainer.pipeline import RunResult

_SEEDS = (0, 1, 2)


def measure(quick: bool) -> list[Figure]:
    return measure_network("mobilenet_v2_0.35", {"trashnet": 89.0, "clothing": 87.5}, (), quick)


def measure_network(
    backbone: str, least_percent: Mapping[str, float], settings: tuple[str, ...], quick: bool
) -> list[Figure]:
    """Trains a network on shared sets of photos.

    Args:
        backbone: Name of the network.
        least_percent: By name of the data, the INT8 accuracy that is asked for.
        settings: That differ from the default recipe.
        quick: Trains each stage for an epoch, with one seed.
    """
    use_shared_weights()
    figures = []
    for data, least in least_percent.items():
        runs = [_run(backbone, data, seed, settings, quick) for seed in (_SEEDS[:1] if quick else _SEEDS)]
        figures += _figures(backbone, data, runs, least, ", ".join(("default recipe", *settings)))
    return figures


def _run(backbone: str, data: str, seed: int, settings: tuple[str, ...], quick: bool) -> RunResult:
    from trainer.recipe import read_recipe

    recipe = read_recipe("default", [f"model.backbone={backbone}", f"seed={seed}", *settings])
    return photo_run(f"seed{seed}-{backbone}", data, recipe, quick)


def _figures(backbone: str, data: str, runs: list[RunResult], least: float, recipe: str) -> list[Figure]:
    fp32, int8 = ([100 * run.evaluations[kind]["test"].accuracy for run in runs] for kind in ("fp32", "int8"))
    spread = f", standard deviation {stdev(int8):.2f}" if len(runs) > 1 else ""
    each = ", ".join(f"{value:.1f}" for value in int8)
    name = f"seeds.{data}_{backbone}"
    return [
        Figure(
            f"{name}_int8",
            f"Test accuracy of {backbone} on {data}, INT8, mean of {len(runs)} seeds",
            mean(int8),
            "%",
            f"{recipe}; {each}{spread}; {runs[0].evaluations['int8']['test'].count} photos",
            at_least=least,
        ),
        Figure(
            f"{name}_drop",
            f"What INT8 loses of it ({backbone}, {data})",
            mean(fp32) - mean(int8),
            "points",
            f"FP32: {', '.join(f'{value:.1f}' for value in fp32)}",
            at_most=1.0,
        ),
    ]
