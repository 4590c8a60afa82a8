"""Networks that are trained on the shared photos to be compared."""

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
    """The classes of a shared set of photos and its pictures by split; the given test split stays as it is.

    Args:
        data: Name of the set.
        recipe: Its network takes the pictures.
        training: Of the training pictures alone; None: as the network takes them.
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
    """Some of the pictures."""
    return replace(
        pixels,
        images=pixels.images[indices],
        labels=pixels.labels[indices],
        paths=tuple(pixels.paths[index] for index in indices),
    )


def new_network(recipe: Recipe, num_classes: int) -> tf_keras.Model:
    """A network as a run begins with it."""
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
