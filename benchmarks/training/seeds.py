"""Accuracy of the default recipe, INT8 and FP32, mean of three seeds."""

from __future__ import annotations

import shutil
from functools import partial
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from benchmarks.harness.figure import Figure
from benchmarks.subjects.answers import remembered
from benchmarks.subjects.photo_runs import folder, photo_run, use_shared_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEEDS = (0, 1, 2)


def measure(quick: bool) -> list[Figure]:
    return measure_network("seeds", "mobilenet_v2_0.35", {"trashnet": 89.0, "clothing": 87.5}, quick)


def measure_network(measurement: str, backbone: str, least_percent: Mapping[str, float], quick: bool) -> list[Figure]:
    """Train a network on shared datasets and return the figures.

    Args:
        measurement: Name of the measurement.
        backbone: Name of the network.
        least_percent: Target INT8 accuracy in percent, by dataset.
        quick: If True, train each stage for one epoch, with one seed.
    """
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    figures = []
    for data, least in least_percent.items():
        answers = [
            remembered(measurement, f"{data}-{seed}", quick, partial(_answers, backbone, data, seed, quick))
            for seed in seeds
        ]
        figures += _figures(f"{measurement}.{data}_{backbone}", backbone, data, answers, least)
    return figures


def _answers(backbone: str, data: str, seed: int, quick: bool) -> dict[str, Any]:
    """Return accuracies and agreement on the test photos in percent, their number, and file sizes in bytes."""
    from trainer.config.recipe_file import read_recipe
    from trainer.evaluation.metrics import agreement

    name = f"seed{seed}-{backbone}"
    run = photo_run(name, data, read_recipe("default", [f"model.backbone={backbone}", f"seed={seed}"]), quick)
    fp32, int8 = (run.evaluations[kind]["test"] for kind in ("fp32", "int8"))
    sizes = {"fp32_bytes": run.fp32.stat().st_size, "int8_bytes": run.int8.stat().st_size}
    shutil.rmtree(folder(name, data, quick))
    accuracies = {"fp32": 100 * fp32.accuracy, "int8": 100 * int8.accuracy, "agreement": agreement(fp32, int8)}
    return {**accuracies, **sizes, "count": int8.count, "kernels": int8.kernels}


def _figures(name: str, backbone: str, data: str, answers: list[dict[str, Any]], least: float) -> list[Figure]:
    fp32, int8 = ([one[kind] for one in answers] for kind in ("fp32", "int8"))
    spread = f", standard deviation {stdev(int8):.2f}" if len(answers) > 1 else ""
    each = ", ".join(f"{value:.1f}" for value in int8)
    return [
        Figure(
            f"{name}_int8",
            f"Test accuracy of {backbone} on {data}, INT8, mean of {len(answers)} seeds",
            mean(int8),
            "%",
            f"default recipe; {each}{spread}; {answers[0]['count']} photos; "
            f"{mean(one['agreement'] for one in answers):.1f}% of the answers are FP32's; {answers[0]['kernels']}",
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
        Figure(
            f"{name}_size",
            f"Size of the INT8 file that ships, against the FP32 file ({backbone}, {data})",
            mean(100 * one["int8_bytes"] / one["fp32_bytes"] for one in answers),
            "%",
            f"{answers[0]['int8_bytes']:,} against {answers[0]['fp32_bytes']:,} bytes with the first seed",
            at_most=30.0,
        ),
    ]
