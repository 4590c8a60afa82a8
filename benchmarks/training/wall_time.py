"""Time until a head on cached features reaches 95% of the accuracy of the usual recipe, against the usual recipe.

The usual recipe is that of Keras' guide to transfer learning: a head on a frozen backbone, and `fit` on randomly
flipped and rotated pictures, so that the backbone runs in every epoch.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.harness.figure import Figure
from benchmarks.subjects.answers import remembered
from benchmarks.subjects.networks import chosen, compile_frozen, new_network, shared_pixels
from benchmarks.subjects.photo_runs import use_shared_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.config import Recipe
    from trainer.types import Epoch, Pixels

_SEEDS = (0, 1, 2)
_DATA, _SHARE = "trashnet", 0.95
_USUAL_EPOCHS, _USUAL_BATCH_SIZE = 20, 64


def measure(quick: bool) -> list[Figure]:
    use_shared_weights()
    seeds = _SEEDS[:1] if quick else _SEEDS
    found = [remembered("wall_time", f"seed-{seed}", quick, partial(_both, seed, quick)) for seed in seeds]
    each = "; ".join(
        f"seed {seed}: {_seconds(one['ours_s'])} against {_seconds(one['usual_s'])} until {one['goal']:.1%}"
        for seed, one in zip(seeds, found, strict=True)
    )
    return [
        Figure(
            "wall_time.share",
            f"Time until a classifier reaches {_SHARE:.0%} of the usual recipe's accuracy on {_DATA}, against its own",
            median(100 * one["ours_s"] / one["usual_s"] for one in found)
            if all(one["ours_s"] for one in found)
            else None,
            "%",
            f"median of {len(seeds)} seeds, MobileNetV2 0.35, 224 px, {found[0]['count']:,} photos, validation "
            f"accuracy; cached features, their computation counted, against {found[0]['usual_epochs']} epochs of the "
            f"frozen backbone on augmented pictures, validation in both; {each}",
            at_most=20.0,
        )
    ]


def _both(seed: int, quick: bool) -> dict[str, Any]:
    from trainer.config.recipe_file import read_recipe

    recipe = read_recipe("default", [f"seed={seed}"])
    labels, pixels = shared_pixels(_DATA, recipe)
    train, val = (chosen(pixels[split], range(192)) if quick else pixels[split] for split in ("train", "val"))
    usual = _usual(recipe, len(labels), train, val, epochs=2 if quick else _USUAL_EPOCHS)
    goal = _SHARE * max(epoch.val_accuracy for epoch in usual)
    features_s, ours = _ours(recipe, len(labels), train, val)
    ours_s = _seconds_until(goal, ours)
    return {
        "goal": goal,
        "usual_s": _seconds_until(goal, usual),
        "ours_s": None if ours_s is None else features_s + ours_s,
        "usual_epochs": len(usual),
        "count": len(train),
    }


def _ours(recipe: Recipe, num_classes: int, train: Pixels, val: Pixels) -> tuple[float, Sequence[Epoch]]:
    """Return the seconds for computing the features of all pictures, and the learning curve on them."""
    from trainer.training.head import feature_extractor, fit_head
    from trainer.training.networks.contract import input_contract
    from trainer.types import Features

    network, contract = new_network(recipe, num_classes), input_contract(recipe)
    start = perf_counter()
    extract = feature_extractor(network, contract=contract)
    known, held_out = (Features(extract(pixels.images), pixels.labels) for pixels in (train, val))
    return perf_counter() - start, fit_head(network, known, held_out, recipe.head, seed=recipe.seed)


def _usual(recipe: Recipe, num_classes: int, train: Pixels, val: Pixels, *, epochs: int) -> Sequence[Epoch]:
    import tensorflow as tf

    from trainer.config import AugmentConfig
    from trainer.training.augmentation.augment import augment, normalize
    from trainer.training.loop.fit import batches, endless_batches, fit
    from trainer.training.networks.contract import input_contract

    contract = input_contract(recipe)
    network = new_network(recipe, num_classes)
    compile_frozen(network)
    mirror_and_turn = AugmentConfig(set="none", rotation=36.0, flip=True)

    def change(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        seeds = tf.stack([tf.constant(recipe.seed, tf.int64), number])
        return normalize(augment(batch[0], seeds, mirror_and_turn), contract.mean, contract.std), batch[1]

    def prepare(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalize(images, contract.mean, contract.std), labels

    steps = -(-len(train) // _USUAL_BATCH_SIZE)
    training = endless_batches(train, _USUAL_BATCH_SIZE, seed=recipe.seed).enumerate().map(change)
    return fit(
        network,
        training.prefetch(2),
        batches(val, _USUAL_BATCH_SIZE).map(prepare).prefetch(2),
        stage="usual",
        epochs=epochs,
        steps=steps,
        patience=epochs,
        progress=True,
        steps_per_epoch=steps,
    )


def _seconds_until(goal: float, curve: Sequence[Epoch]) -> float | None:
    """Return the seconds until an accuracy is reached, or None if it never is."""
    seconds = 0.0
    for epoch in curve:
        seconds += epoch.seconds
        if epoch.val_accuracy >= goal:
            return seconds
    return None


def _seconds(found: float | None) -> str:
    return "never" if found is None else f"{found:.0f} s"
