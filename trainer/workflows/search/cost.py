"""Cost of a network, independent of its weights: multiply-adds, and the INT8 file's latency on this machine."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.cache import cache_folder
from trainer.data.pixels import load_pixels
from trainer.training.networks.backbones import build_network
from trainer.training.networks.contract import input_contract

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.types import Dataset

_CALIBRATED_WITH, _TIMED_ON = 16, 100  # pictures


def measure_cost(recipe: Recipe, dataset: Dataset, *, latency: bool) -> dict[str, float]:
    """Measure the network of a recipe, built without its weights, which change neither figure.

    Args:
        recipe: Recipe with the backbone and the input size.
        dataset: Photos for calibration and timing.
        latency: Whether to convert the network to full INT8 and time it.

    Returns:
        ``macs``, and if requested ``latency_ms``: the median inference time on one thread of this machine, measured
        through `edge_runtime.Classifier`.
    """
    from trainer.compression.cost import count_macs

    model = build_network(recipe, dataset)
    cost = {"macs": float(count_macs(model))}
    return cost | {"latency_ms": _latency_ms(model, recipe, dataset)} if latency else cost


def _latency_ms(model: Any, recipe: Recipe, dataset: Dataset) -> float:
    from dataclasses import replace

    from trainer.evaluation.evaluate import evaluate_pixels
    from trainer.export.model_file import Exporter
    from trainer.quantization.calibration import representative_set
    from trainer.quantization.convert import convert_int8

    contract = input_contract(recipe)
    train = load_pixels(dataset, "train", contract, cache_folder())
    classes = len(dataset.labels)
    images, calibration = representative_set(train, _CALIBRATED_WITH, recipe.seed, classes)
    shown = slice(0, _TIMED_ON)
    few = replace(train, images=train.images[shown], labels=train.labels[shown], paths=train.paths[shown])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "int8.tflite"
        content = convert_int8(model, images, contract=contract)
        Exporter(dataset.labels, contract).write(file, content, calibration, check=False)
        return evaluate_pixels(file, few, "train").latency_ms
