"""What augmentation brings where photos are few: clothing, a fifth of its training photos, three seeds, test split."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from statistics import mean
from typing import TYPE_CHECKING, Any

from benchmarks.figure import Figure
from benchmarks.inputs import ROOT, shared
from benchmarks.photo_runs import accuracy, use_shared_weights

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.types import Pixels

_SEEDS = (0, 1, 2)
_DATA, _SHARE = "clothing", 0.2
# Without a zoom, photos are trained on at the size at which they are measured: each way as it works best.
_WAYS = {"none": ("augment.set=none", "finetune.train_size=1.0"), "default": ("augment.set=default",)}


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    found = {seed: {way: _measured(way, seed, quick) for way in _WAYS} for seed in seeds}
    tests = {seed: [ways[way]["test"] for way in ("none", "default")] for seed, ways in found.items()}
    each = "; ".join(f"seed {seed}: {without:.1%} to {with_it:.1%}" for seed, (without, with_it) in tests.items())
    recipe, counts = _recipe("default", 0), found[0]["default"]
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
    from trainer.recipe import read_recipe

    return read_recipe("default", [f"seed={seed}", *_WAYS[way]])


def _measured(way: str, seed: int, quick: bool) -> dict[str, Any]:
    """Trains one way, unless that was done before, and measures it."""
    from trainer.files import write_json

    record = ROOT / "runs/augmentation" / ("quick" if quick else "full") / f"{_DATA}-{way}-{seed}.json"
    if not record.exists():
        found = _train(way, seed, quick)
        print(f"seed {seed}, {way}: {found['val']:.1%} on validation", file=sys.stderr)
        record.parent.mkdir(parents=True, exist_ok=True)
        write_json(record, found)
    return dict(json.loads(record.read_text()))


def _train(way: str, seed: int, quick: bool) -> dict[str, Any]:
    from trainer.artifacts import cache_folder, input_contract
    from trainer.data.dataset import scan
    from trainer.data.pixels import load_pixels
    from trainer.training.backbones import build_model, get_backbone
    from trainer.training.finetune import finetune
    from trainer.training.transfer import train_head
    from trainer.training.weights import resolve_weights

    recipe = _recipe(way, seed)
    if quick:
        recipe = recipe.updated({"model": {"input_size": 96}, "head": {"epochs": 1}, "finetune": {"epochs": 1}})
    contract, backbone = input_contract(recipe), get_backbone(recipe.model.backbone)
    dataset = scan(shared(f"data/{_DATA}"), data=recipe.data, seed=seed)
    train, val, test = (load_pixels(dataset, split, contract, cache_folder()) for split in ("train", "val", "test"))
    few = _share_of(train, seed)
    network = build_model(
        backbone,
        num_classes=len(dataset.labels),
        input_size=contract.height,
        dropout=recipe.model.dropout,
        weights_file=resolve_weights(backbone, recipe.model.weights, contract.height),
        seed=seed,
    )
    train_head(network, few, val, recipe.head, contract=contract, seed=seed)
    finetune(network, few, val, recipe.finetune, recipe.augment, contract=contract, seed=seed, stage=way)
    measured = {"test": accuracy(network, test, contract), "val": accuracy(network, val, contract)}
    return {**measured, "photos": len(few), "count": len(test)}


def _share_of(pixels: Pixels, seed: int) -> Pixels:
    """A fifth of each class, drawn by the seed."""
    import numpy as np

    rng = np.random.default_rng(seed)
    classes = [rng.permutation(np.flatnonzero(pixels.labels == label)) for label in np.unique(pixels.labels)]
    kept = np.sort(np.concatenate([members[: round(_SHARE * len(members))] for members in classes]))
    return replace(
        pixels, images=pixels.images[kept], labels=pixels.labels[kept], paths=tuple(pixels.paths[k] for k in kept)
    )
