"""Networks that measurements train on the shared photos."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmarks.harness.inputs import shared
from benchmarks.subjects.photo_runs import use_shared_weights

if TYPE_CHECKING:
    import tf_keras

    from edge_runtime import InputContract
    from trainer.config import Recipe
    from trainer.types import Pixels


def shared_pixels(
    data: str, recipe: Recipe, training: InputContract | None = None
) -> tuple[tuple[str, ...], dict[str, Pixels]]:
    """Return the classes of a shared dataset and its pixels by split; its own test split is kept.

    Args:
        data: Name of the dataset.
        recipe: Recipe whose network receives the pictures.
        training: Input contract of the training pictures alone; None uses the network's.
    """
    from trainer.data.cache import cache_folder
    from trainer.data.dataset import scan
    from trainer.data.pixels import load_pixels
    from trainer.training.networks.contract import input_contract
    from trainer.types import SPLITS

    dataset, contract = scan(shared(f"data/{data}"), data=recipe.data, seed=0), input_contract(recipe)
    contracts = dict.fromkeys(SPLITS, contract) | ({"train": training} if training else {})
    return dataset.labels, {split: load_pixels(dataset, split, contracts[split], cache_folder()) for split in SPLITS}


def chosen(pixels: Pixels, indices: Any) -> Pixels:
    """Return the pictures at some indices."""
    return replace(
        pixels,
        images=pixels.images[indices],
        labels=pixels.labels[indices],
        paths=tuple(pixels.paths[index] for index in indices),
    )


def new_network(recipe: Recipe, num_classes: int) -> tf_keras.Model:
    """Return a network as it is at the start of a run."""
    from trainer.training.networks.backbones import build_model, get_backbone
    from trainer.training.networks.contract import input_size
    from trainer.training.networks.weights import resolve_weights

    use_shared_weights()
    backbone, size = get_backbone(recipe.model.backbone), input_size(recipe)
    return build_model(
        backbone,
        num_classes=num_classes,
        input_size=size,
        dropout=recipe.model.dropout,
        weights_file=resolve_weights(backbone, recipe.model.weights, size),
        seed=recipe.seed,
    )


def compile_frozen(network: tf_keras.Model) -> None:
    """Freeze all but the head and compile, as in Keras' guide to transfer learning."""
    import tf_keras

    from trainer.training.networks.backbones import HEAD_LAYER

    for layer in network.layers:
        layer.trainable = layer.name == HEAD_LAYER
    network.compile(tf_keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
