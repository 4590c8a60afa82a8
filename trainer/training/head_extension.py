"""Adds classes to a trained network: trains a new head on features of old and new photos; the rest is unchanged."""

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
    """Train a head with more classes.

    Args:
        before: Network trained on the first of the classes.
        num_classes: Number of known and new classes.
        train: Features of all classes to train on.
        val: Features that choose the best epoch and stop the training early.
        config: Solver, epochs, batch size and learning rate.
        seed: Seed of all random draws; the same seed gives the same weights.
        progress: If True, a progress bar is drawn on stderr.

    Returns:
        The network with its new head, and the learning curve.
    """
    model = replace_head(before, num_classes)
    return model, fit_head(model, train, val, config, seed=seed, progress=progress)


def compare(
    before: tf_keras.Model, after: tf_keras.Model, test: Features, *, labels: Sequence[str], added: Sequence[int]
) -> tuple[ExtendedClass, ...]:
    """Compare the float networks' correct predictions per class before and after the extension.

    Args:
        before: Network trained on the first of the classes.
        after: Network trained on all classes.
        test: Features of the test set.
        labels: Names of all classes.
        added: Number of photos that were added to each class.
    """
    right_before, right_after = (predictions(model, test) == test.labels for model in (before, after))
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


def predictions(model: tf_keras.Model, features: Features) -> NDArray[np.int64]:
    """Return the predicted class indices for features, int64 (N,)."""
    kernel, bias = model.get_layer(HEAD_LAYER).get_weights()
    found: NDArray[np.int64] = (features.values @ kernel + bias).argmax(axis=1)
    return found
