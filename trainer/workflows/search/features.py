"""Features of the frozen backbone for a split, computed once and stored in the user's cache for all searches.

A file's name hashes everything that its bytes depend on: the photos' hashes in order, the input contract, the backbone,
its weights' hash and TensorFlow's version.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.data.cache import at_work, cache_folder
from trainer.data.pixels import load_pixels
from trainer.environment import load_tensorflow
from trainer.errors import OutputFolderError
from trainer.storage import write_bytes
from trainer.training.head import feature_extractor
from trainer.training.networks.backbones import build_network
from trainer.training.networks.contract import input_contract

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.config import Recipe
    from trainer.types import Dataset, Split

_FORMAT = 1  # raise it when the features of the same photos change


def cached_features(dataset: Dataset, split: Split, recipe: Recipe, weights: Path) -> NDArray[np.float32]:
    """Read the features from the cache, or compute and store them.

    Args:
        dataset: Photos and their splits.
        split: Split to compute the features of.
        recipe: Recipe with the backbone, the input size and the crop.
        weights: Weights file of the backbone.

    Returns:
        float32 (N, features), in the order of the split's pixels.

    Raises:
        OutputFolderError: The cache can't be written or read.
    """
    import numpy as np

    load_tensorflow()
    contract = input_contract(recipe)
    pixels = load_pixels(dataset, split, contract, cache_folder())
    file = cache_folder() / f"features-{split}-{_key(dataset, pixels.paths, recipe, weights)}.npy"
    if not file.exists():
        model = build_network(recipe, dataset, weights)
        content = io.BytesIO()
        np.save(content, feature_extractor(model, contract=contract)(pixels.images))
        with at_work(file.parent):
            write_bytes(file, content.getvalue())
    try:
        features: NDArray[np.float32] = np.load(file)
    except (OSError, ValueError) as error:
        raise OutputFolderError(f"Cannot read cached features from {file}: {error}. Delete the file.") from error
    return features


def _key(dataset: Dataset, paths: tuple[str, ...], recipe: Recipe, weights: Path) -> str:
    import tensorflow as tf

    hashes = {photo.path: photo.sha256 for photo in dataset.photos}
    content = [
        *(_FORMAT, tf.__version__, recipe.model.backbone, hashlib.sha256(weights.read_bytes()).hexdigest()),
        *(input_contract(recipe).to_dict(), [hashes[path] for path in paths]),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
