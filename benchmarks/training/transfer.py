"""Transfer learning against training from scratch, on 1,000 training photos of clothing, three seeds."""

from __future__ import annotations

from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.harness.figure import Figure
from benchmarks.subjects.answers import remembered
from benchmarks.subjects.networks import chosen, new_network, shared_pixels
from benchmarks.subjects.photo_runs import use_shared_weights

if TYPE_CHECKING:
    from trainer.types import Pixels

_SEEDS = (0, 1, 2)
_DATA, _PHOTOS = "clothing", 1000
_SETTINGS: dict[str, tuple[str, ...]] = {
    "transfer": (),
    # Random weights take longer: four times the epochs, and twice the learning rate.
    "scratch": ("model.weights=none", "finetune.epochs=128", "finetune.patience=48", "finetune.learning_rate=3e-3"),
}


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    found = {
        seed: {
            way: remembered("transfer", f"{way}-{seed}", quick, partial(_train, way, seed, quick)) for way in _SETTINGS
        }
        for seed in seeds
    }
    each = "; ".join(
        f"seed {seed}: {ways['transfer']['test']:.1%} against {ways['scratch']['test']:.1%}"
        for seed, ways in found.items()
    )
    epochs = {way: found[0][way]["epochs"] for way in _SETTINGS}
    return [
        Figure(
            "transfer.gain",
            f"What ImageNet weights bring a MobileNetV2 0.35 on {_PHOTOS:,} training photos of {_DATA}",
            mean(100 * (ways["transfer"]["test"] - ways["scratch"]["test"]) for ways in found.values()),
            "points",
            f"mean of {len(seeds)} seeds, FP32, 224 px; default recipe ({epochs['transfer']} epochs), against random "
            f"weights ({epochs['scratch']} epochs, twice the learning rate); {each}; "
            f"{found[0]['scratch']['count']} test photos",
            at_least=18.0,
        )
    ]


def _train(way: str, seed: int, quick: bool) -> dict[str, Any]:
    """Return the test accuracy, 0–1, the number of epochs, and the number of test photos."""
    from trainer.config.recipe_file import read_recipe
    from trainer.training.finetune import FitSettings, finetune
    from trainer.training.head import train_head
    from trainer.training.loop.scores import network_accuracy
    from trainer.training.networks.contract import input_contract, training_contract
    from trainer.types import TrainingSet

    short = ("head.epochs=1", "finetune.epochs=1") if quick else ()
    recipe = read_recipe("default", [f"seed={seed}", *_SETTINGS[way], *short])
    contract, from_scratch = input_contract(recipe), recipe.model.weights == "none"
    labels, pixels = shared_pixels(_DATA, recipe)
    _, to_augment = shared_pixels(_DATA, recipe, training_contract(recipe, _PHOTOS))
    val, test = pixels["val"], pixels["test"]
    network = new_network(recipe, len(labels))
    if not from_scratch:
        data = TrainingSet(_some(pixels["train"], len(labels)), val, contract)
        train_head(network, data, recipe.head, seed=seed)
    data = TrainingSet(_some(to_augment["train"], len(labels)), val, contract)
    curve = finetune(network, data, FitSettings(recipe.finetune, recipe.augment, seed), from_scratch=from_scratch)
    return {"test": network_accuracy(network, test, contract), "epochs": len(curve), "count": len(test)}


def _some(train: Pixels, num_classes: int) -> Pixels:
    """Return a stratified sample, the same for each seed."""
    from trainer.quantization.calibration import stratified

    return chosen(train, stratified(train.labels, _PHOTOS, 0, num_classes))
