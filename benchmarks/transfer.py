"""Transfer learning against the same network from scratch, on 1,000 training photos of clothing, three seeds."""

from __future__ import annotations

from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.answers import remembered
from benchmarks.figure import Figure
from benchmarks.networks import accuracy, chosen, new_network, shared_pixels
from benchmarks.photo_runs import use_shared_weights

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.types import Pixels

_SEEDS = (0, 1, 2)
_DATA, _PHOTOS = "clothing", 1000
# Random weights take longer: four times the epochs, and twice the learning rate.
_FROM_SCRATCH = ("model.weights=none", "finetune.epochs=128", "finetune.patience=48", "finetune.learning_rate=3e-3")


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    found = [remembered("transfer", f"seed-{seed}", quick, partial(_both, seed, quick)) for seed in seeds]
    each = "; ".join(
        f"seed {seed}: {one['transfer']:.1%} against {one['scratch']:.1%} after {one['scratch_epochs']} epochs"
        for seed, one in zip(seeds, found, strict=True)
    )
    return [
        Figure(
            "transfer.gain",
            f"What ImageNet weights bring a MobileNetV2 0.35 on {_PHOTOS:,} training photos of {_DATA}",
            mean(100 * (one["transfer"] - one["scratch"]) for one in found),
            "points",
            f"mean of {len(seeds)} seeds, FP32, 224 px; default recipe, against random weights at twice the learning "
            f"rate until nothing gets better; {each}; {found[0]['count']} test photos",
            at_least=18.0,
        )
    ]


def _both(seed: int, quick: bool) -> dict[str, Any]:
    from trainer.recipe import read_recipe

    short = ("head.epochs=1", "finetune.epochs=1") if quick else ()
    recipe = read_recipe("default", [f"seed={seed}", *short])
    labels, pixels = shared_pixels(_DATA, recipe)
    pixels = {**pixels, "train": _some(pixels["train"], len(labels))}
    transfer, _ = _trained(recipe, labels, pixels)
    scratch, epochs = _trained(read_recipe("default", [f"seed={seed}", *_FROM_SCRATCH, *short]), labels, pixels)
    return {"transfer": transfer, "scratch": scratch, "scratch_epochs": epochs, "count": len(pixels["test"])}


def _some(train: Pixels, num_classes: int) -> Pixels:
    """The same photos for each seed, drawn class by class."""
    from trainer.conversion.calibration import stratified

    return chosen(train, stratified(train.labels, _PHOTOS, 0, num_classes))


def _trained(recipe: Recipe, labels: tuple[str, ...], pixels: dict[str, Pixels]) -> tuple[float, int]:
    """Test accuracy, 0–1, and the epochs that it took."""
    from trainer.artifacts import input_contract
    from trainer.training.finetune import finetune
    from trainer.training.transfer import train_head

    contract, from_scratch = input_contract(recipe), recipe.model.weights == "none"
    network = new_network(recipe, len(labels))
    common: dict[str, Any] = {"contract": contract, "seed": recipe.seed}
    if not from_scratch:
        train_head(network, pixels["train"], pixels["val"], recipe.head, **common)
    curve = finetune(
        network,
        pixels["train"],
        pixels["val"],
        recipe.finetune,
        recipe.augment,
        from_scratch=from_scratch,
        **common,
    )
    return accuracy(network, pixels["test"], contract), len(curve)
