"""Frozen-backbone features of all photos of a data set, for finding label errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config import Recipe
from trainer.data.cache import cache_folder
from trainer.data.pixels import load_pixels
from trainer.environment import load_tensorflow
from trainer.training.head import feature_extractor
from trainer.training.networks.backbones import build_model, get_backbone
from trainer.training.networks.contract import input_contract, input_size
from trainer.types import SPLITS, Dataset

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def backbone_features(
    dataset: Dataset, recipe: Recipe, weights: Path
) -> tuple[NDArray[np.float32], NDArray[np.int64], tuple[str, ...]]:
    """Compute the backbone's features of the photos of all splits, from the pixels that training would see and cache.

    Args:
        dataset: The photos.
        recipe: Recipe with backbone, input size and crop.
        weights: File with the backbone's weights.

    Returns:
        float32 (N, features); the labels, int64 (N,); and the N paths.
    """
    import numpy as np

    load_tensorflow()
    backbone, contract = get_backbone(recipe.model.backbone), input_contract(recipe)
    model = build_model(backbone, num_classes=len(dataset.labels), input_size=input_size(recipe), weights_file=weights)
    parts = [load_pixels(dataset, split, contract, cache_folder()) for split in SPLITS]
    extract = feature_extractor(model, contract=contract)
    features = [extract(pixels.images) for pixels in parts]
    labels = np.concatenate([pixels.labels for pixels in parts])
    return np.concatenate(features), labels, tuple(path for pixels in parts for path in pixels.paths)
