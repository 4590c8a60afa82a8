"""Input size and input contract of a recipe's network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Recipe
from trainer.config.photo_count import MANY_PHOTOS, for_photos
from trainer.environment import load_tensorflow
from trainer.training.loop.fit import train_size
from trainer.training.networks.backbones import get_backbone

if TYPE_CHECKING:
    from edge_runtime import InputContract

_LARGEST_ZOOM = 2.0  # stored photos are enlarged for zooming in up to this factor


def input_size(recipe: Recipe) -> int:
    """Return the height and width of the network's input, in pixels."""
    return recipe.model.input_size or get_backbone(recipe.model.backbone).input_size


def input_contract(recipe: Recipe) -> InputContract:
    """Return the input contract of the network."""
    from edge_runtime import InputContract

    backbone, size = get_backbone(recipe.model.backbone), input_size(recipe)
    return InputContract(size, size, crop=recipe.data.crop, mean=backbone.mean, std=backbone.std)


def training_contract(recipe: Recipe, count: int) -> InputContract:
    """Return the contract for the pictures to train on, before augmentation resizes them to the training size.

    With few photos, they are kept large enough to zoom in on full detail. Zooming in on pictures of the network's input
    size would give blurred ones, which the network does not see in use.

    Args:
        recipe: Settings of the run.
        count: Number of training photos.
    """
    contract = input_contract(recipe)
    if count >= MANY_PHOTOS:
        return contract
    finetune, augment = for_photos(recipe.finetune, recipe.augment, count)
    zoom = min(augment.scale[1], _LARGEST_ZOOM)
    size = max(contract.height, round(zoom * train_size(contract.height, finetune.train_size)))
    return replace(contract, height=size, width=size)


def load_model(file: Path) -> Any:
    """Load a tf_keras model from a file."""
    load_tensorflow()
    import tf_keras

    return tf_keras.models.load_model(file, compile=False)
