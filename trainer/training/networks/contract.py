"""What follows from a recipe for the network: the size of its input, and how a picture becomes that input."""

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

_LARGEST_ZOOM = 2.0  # that photos are kept for


def input_size(recipe: Recipe) -> int:
    """Height and width of the network's input, in pixels."""
    return recipe.model.input_size or get_backbone(recipe.model.backbone).input_size


def input_contract(recipe: Recipe) -> InputContract:
    """How a picture becomes the network's input."""
    from edge_runtime import InputContract

    backbone, size = get_backbone(recipe.model.backbone), input_size(recipe)
    return InputContract(size, size, crop=recipe.data.crop, mean=backbone.mean, std=backbone.std)


def training_contract(recipe: Recipe, count: int) -> InputContract:
    """How a photo becomes a picture to train on, which is changed at random and brought to the training size.

    Few photos are kept so large that zooming in shows as much of them as there is; from the network's own size, it
    would show blurred pictures, which the network never meets afterwards.

    Args:
        recipe: The settings.
        count: Of the photos to train on.
    """
    contract = input_contract(recipe)
    if count >= MANY_PHOTOS:
        return contract
    finetune, augment = for_photos(recipe.finetune, recipe.augment, count)
    zoom = min(augment.scale[1], _LARGEST_ZOOM)
    size = max(contract.height, round(zoom * train_size(contract.height, finetune.train_size)))
    return replace(contract, height=size, width=size)


def load_model(file: Path) -> Any:
    """A tf_keras model from its file."""
    load_tensorflow()
    import tf_keras

    return tf_keras.models.load_model(file, compile=False)
