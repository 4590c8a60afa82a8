"""Gain in test accuracy from augmentation with few photos: a fifth of clothing's training photos, three seeds."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.harness.figure import Figure
from benchmarks.subjects.answers import remembered
from benchmarks.subjects.networks import chosen, new_network, shared_pixels
from benchmarks.subjects.photo_runs import use_shared_weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.config import Recipe
    from trainer.types import Pixels

_SEEDS = (0, 1, 2)
_DATA, _SHARE = "clothing", 0.2
_WAYS = ("without", "with")


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    found = {seed: {way: _measured(way, seed, quick) for way in _WAYS} for seed in seeds}
    tests = {seed: [ways[way]["test"] for way in _WAYS] for seed, ways in found.items()}
    each = "; ".join(f"seed {seed}: {without:.1%} to {with_it:.1%}" for seed, (without, with_it) in tests.items())
    recipe, counts = _recipe("with", 0), found[0]["with"]
    return [
        Figure(
            "augmentation.gain",
            f"What augmentation brings on {_DATA} with {_SHARE:.0%} of the training photos",
            mean(100 * (with_it - without) for without, with_it in tests.values()),
            "points",
            f"mean of {len(seeds)} seeds, FP32, {recipe.model.backbone}, the default recipe with augmentation and "
            f"without; {each}; {counts['photos']} training photos, {counts['count']} test photos",
            at_least=2.0,
        )
    ]


def _recipe(way: str, seed: int) -> Recipe:
    from trainer.config.recipe_file import read_recipe

    return read_recipe("default", [f"seed={seed}", *(["augment.set=none"] if way == "without" else [])])


def _measured(way: str, seed: int, quick: bool) -> dict[str, Any]:
    return remembered("augmentation", f"{way}-{seed}", quick, partial(_train, way, seed, quick))


def _train(way: str, seed: int, quick: bool) -> dict[str, Any]:
    from trainer.training.finetune import FitSettings, finetune
    from trainer.training.head import train_head
    from trainer.training.loop.scores import network_accuracy
    from trainer.training.networks.contract import input_contract, training_contract
    from trainer.types import TrainingSet

    recipe = _recipe(way, seed)
    if quick:
        recipe = recipe.updated({"model": {"input_size": 96}, "head": {"epochs": 1}, "finetune": {"epochs": 1}})
    contract = input_contract(recipe)
    labels, pixels = shared_pixels(_DATA, recipe)
    share = _share_of(pixels["train"], seed)
    few, val, test = chosen(pixels["train"], share), pixels["val"], pixels["test"]
    _, larger = shared_pixels(_DATA, recipe, training_contract(recipe, len(few)))
    network = new_network(recipe, len(labels))
    data = TrainingSet(few, val, contract)
    train_head(network, data, recipe.head, seed=seed)
    data = replace(data, train=chosen(larger["train"], share))
    finetune(network, data, FitSettings(recipe.finetune, recipe.augment, seed, stage=way))
    measured = {"test": network_accuracy(network, test, contract), "val": network_accuracy(network, val, contract)}
    return {**measured, "photos": len(few), "count": len(test)}


def _share_of(pixels: Pixels, seed: int) -> NDArray[np.int64]:
    """Return the indices of a random fifth of each class."""
    import numpy as np

    rng = np.random.default_rng(seed)
    classes = [rng.permutation(np.flatnonzero(pixels.labels == label)) for label in np.unique(pixels.labels)]
    return np.sort(np.concatenate([members[: round(_SHARE * len(members))] for members in classes]))
