"""What a network answers and how often it is right, while it is still a Keras model."""

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
    """Scores of all pictures, float32 (N, classes), as in inference: nothing is dropped, statistics stay as they are.

    Args:
        network: Takes the pictures' size.
        pixels: Read batch by batch.
        contract: Its mean and std.
    """
    scores = np.empty((len(pixels), network.output_shape[-1]), np.float32)
    for start in range(0, len(pixels), _BATCH):
        batch = slice(start, start + _BATCH)
        scores[batch] = network(normalize(pixels.images[batch], contract.mean, contract.std), training=False).numpy()
    return scores


def network_accuracy(network: tf_keras.Model, pixels: Pixels, contract: InputContract) -> float:
    """Share of right answers, 0–1; where photos have several labels, of right answers to whether each one is there."""
    scores = network_scores(network, pixels, contract)
    if pixels.labels.ndim == 2:
        return float(((scores >= 0.5) == pixels.labels).mean())
    return float((scores.argmax(axis=1) == pixels.labels).mean())
