"""Teaches a trained network more classes: a new head on the features of old and new photos; the rest stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.training.head import fit_head, replace_head
from trainer.training.networks.backbones import HEAD_LAYER
from trainer.types import Epoch, ExtendedClass, Features

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tf_keras
    from numpy.typing import NDArray

    from trainer.config import HeadConfig


def extend_head(
    before: tf_keras.Model,
    num_classes: int,
    train: Features,
    val: Features,
    config: HeadConfig,
    *,
    seed: int,
    progress: bool = True,
) -> tuple[tf_keras.Model, list[Epoch]]:
    """Trains a head of more classes.

    Args:
        before: The network that knows the first of the classes.
        num_classes: Known and new ones.
        train: Features to train on, of all classes.
        val: Features that choose the best epoch and end the training.
        config: How long and how fast.
        seed: The same seed gives the same weights.
        progress: Whether a bar is drawn on stderr.

    Returns:
        The network under its new head, and the learning curve.
    """
    model = replace_head(before, num_classes)
    return model, fit_head(model, train, val, config, seed=seed, progress=progress)


def compare(
    before: tf_keras.Model, after: tf_keras.Model, test: Features, *, labels: Sequence[str], added: Sequence[int]
) -> tuple[ExtendedClass, ...]:
    """How each class fares before and after, by the float networks.

    Args:
        before: Knows the first of the classes.
        after: Knows all.
        test: Features of photos that took no part in training.
        labels: Of all classes.
        added: Number of photos of each class that were added.
    """
    right_before, right_after = (answers(model, test) == test.labels for model in (before, after))
    known = before.output_shape[-1]
    return tuple(
        ExtendedClass(
            label,
            added=added[index],
            count=int((test.labels == index).sum()),
            before=int(right_before[test.labels == index].sum()) if index < known else None,
            after=int(right_after[test.labels == index].sum()),
        )
        for index, label in enumerate(labels)
    )


def answers(model: tf_keras.Model, features: Features) -> NDArray[np.int64]:
    """Class indices, int64 (N,), that the network's head gives features."""
    kernel, bias = model.get_layer(HEAD_LAYER).get_weights()
    found: NDArray[np.int64] = (features.values @ kernel + bias).argmax(axis=1)
    return found
