"""Scores and accuracy of a Keras model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.training.augmentation.augment import normalize

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract
    from trainer.types import Pixels

_BATCH = 64


def network_scores(network: tf_keras.Model, pixels: Pixels, contract: InputContract) -> NDArray[np.float32]:
    """Compute the scores of all pictures, float32 (N, classes), in inference mode.

    Args:
        network: Network for the pictures' size.
        pixels: Pictures, read batch by batch.
        contract: Mean and standard deviation of the network's input.
    """
    scores = np.empty((len(pixels), network.output_shape[-1]), np.float32)
    for start in range(0, len(pixels), _BATCH):
        batch = slice(start, start + _BATCH)
        scores[batch] = network(normalize(pixels.images[batch], contract.mean, contract.std), training=False).numpy()
    return scores


def network_accuracy(network: tf_keras.Model, pixels: Pixels, contract: InputContract) -> float:
    """Compute the accuracy, 0–1: top-1, or with several labels per photo, over all labels at a threshold of 0.5."""
    scores = network_scores(network, pixels, contract)
    if pixels.labels.ndim == 2:
        return float(((scores >= 0.5) == pixels.labels).mean())
    return float((scores.argmax(axis=1) == pixels.labels).mean())
