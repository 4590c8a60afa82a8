"""Losses, class weights and accuracy for single-label and multi-label data sets.

Labels are class indices, int64 (N,), or in a multi-label data set 0 or 1 for each class, uint8 (N, classes). *Targets*,
which losses read, always have one number per class, float32 (N, classes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer.config import LossConfig
from trainer.errors import RecipeError

if TYPE_CHECKING:
    import tensorflow as tf
    from numpy.typing import NDArray

Loss = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
"""Function from targets and scores, both float32 (N, classes), to the loss of each picture, float32 (N,)."""

_LEAST_SCORE = 1e-7


def fitted_to(config: LossConfig, *, multi_label: bool) -> LossConfig:
    """Return the settings with ``"auto"`` replaced by the loss for the kind of labels.

    Raises:
        RecipeError: The loss does not fit the kind of labels.
    """
    single: Literal["categorical_crossentropy"] = "categorical_crossentropy"
    several: Literal["binary_crossentropy"] = "binary_crossentropy"
    wrong, right = (single, several) if multi_label else (several, single)
    if config.kind == wrong:
        labels, output = ("several labels", "sigmoid") if multi_label else ("one label", "softmax")
        raise RecipeError(
            f"loss.kind is {wrong!r}, but photos with {labels} each need a network with a {output} output and its "
            f"loss. Set loss.kind to auto, {right} or focal, or change the labels."
        )
    if config.alpha and not (multi_label and config.kind == "focal"):
        raise RecipeError(
            f"loss.alpha is {config.alpha:g}, but it applies only to loss.kind focal with several labels per photo. "
            "Remove it, or set loss.class_weights to weight the classes."
        )
    return replace(config, kind=right) if config.kind == "auto" else config


def make_loss(config: LossConfig, labels: NDArray[Any], classes: int, *, label_smoothing: float = 0.0) -> Any:
    """Return the loss for Keras' ``compile``.

    Args:
        config: Loss and class weights.
        labels: Labels of the training pictures, int64 (N,) or uint8 (N, classes); their counts give the class weights.
        classes: Number of classes, the length of the output.
        label_smoothing: Label smoothing, 0–1 (Szegedy et al., 2016).

    Raises:
        RecipeError: The loss does not fit the kind of labels.
    """
    import tf_keras

    config = fitted_to(config, multi_label=labels.ndim == 2)
    if config.kind == "categorical_crossentropy" and config.class_weights == "none":
        return tf_keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    return picture_loss(config, labels, classes, label_smoothing=label_smoothing)


def picture_loss(config: LossConfig, labels: NDArray[Any], classes: int, *, label_smoothing: float = 0.0) -> Loss:
    """Return a function that computes the loss of each picture.

    Args:
        config: Loss and class weights.
        labels: Labels of the training pictures, int64 (N,) or uint8 (N, classes).
        classes: Number of classes.
        label_smoothing: Label smoothing, 0–1.
    """
    multi_label = labels.ndim == 2
    config = fitted_to(config, multi_label=multi_label)
    weights = class_weights(config, labels, classes)
    gamma = config.gamma if config.kind == "focal" else 0.0
    if multi_label:
        return _binary(weights, gamma, config.alpha, label_smoothing)
    return _categorical(weights, gamma, label_smoothing)


def class_weights(config: LossConfig, labels: NDArray[Any], classes: int) -> NDArray[np.float32] | None:
    """Return the weight of each class, float32 (classes,), or None if all weights are equal.

    With one label per photo, ``"balanced"`` is as in scikit-learn, photos / (classes × photos of the class), with a
    mean of 1 over the photos; ``"effective_number"`` (Cui et al., 2019) has a mean of 1 over the classes. With several
    labels, a class's weight is the ratio of the numbers, or effective numbers, of photos without and with it.
    """
    if config.class_weights == "none":
        return None
    counts = labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)
    numbers = np.maximum(counts, 1).astype(np.float64)
    balanced = config.class_weights == "balanced"
    if labels.ndim == 2:
        others = np.maximum(len(labels) - counts, 1).astype(np.float64)
        weights = others / numbers if balanced else _effective(others, config.beta) / _effective(numbers, config.beta)
    elif balanced:
        weights = len(labels) / (classes * numbers)
    else:
        weights = 1 / _effective(numbers, config.beta)
        weights *= classes / weights.sum()
    return np.asarray(weights, np.float32)


def as_targets(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """Return targets, float32 (N, classes), for labels."""
    import tensorflow as tf

    return tf.cast(labels, tf.float32) if len(labels.shape) == 2 else tf.one_hot(labels, classes)


def accuracy_of(labels: NDArray[Any]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the metric ``accuracy`` for labels, int64 (N,) or uint8 (N, classes); it takes targets and scores.

    With one label per photo, it is top-1 accuracy; with several, the share of classes that are correctly predicted as
    present or absent, with a threshold of 0.5.
    """
    import tensorflow as tf

    if labels.ndim == 2:

        def accuracy(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(tf.cast((targets > 0.5) == (scores > 0.5), tf.float32), axis=-1)

    else:

        def accuracy(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.argmax(targets, axis=-1) == tf.argmax(scores, axis=-1), tf.float32)

    return accuracy


def _effective(counts: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    return np.asarray((1 - beta**counts) / (1 - beta))


def _categorical(weights: NDArray[np.float32] | None, gamma: float, label_smoothing: float) -> Loss:
    import tensorflow as tf

    def loss(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        smooth = targets * (1.0 - label_smoothing) + label_smoothing / scores.shape[-1]
        lost = -smooth * tf.math.log(tf.maximum(scores, _LEAST_SCORE))
        if gamma:
            lost *= _share_missing(scores) ** gamma
        each = tf.reduce_sum(lost, axis=-1)
        return each if weights is None else each * tf.reduce_sum(targets * weights, axis=-1)

    return loss


def _share_missing(scores: tf.Tensor) -> tf.Tensor:
    """1 minus the score of the true class; never 0, where a power below 1 has no gradient."""
    import tensorflow as tf

    return tf.maximum(1.0 - scores, _LEAST_SCORE)


def _binary(weights: NDArray[np.float32] | None, gamma: float, alpha: float, label_smoothing: float) -> Loss:
    import tensorflow as tf
    import tf_keras

    def loss(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        smooth = targets * (1.0 - label_smoothing) + label_smoothing / 2.0
        lost = tf_keras.backend.binary_crossentropy(smooth, scores)  # per class
        if gamma:
            lost *= _share_missing(targets * scores + (1.0 - targets) * (1.0 - scores)) ** gamma
        if alpha:
            lost *= targets * alpha + (1.0 - targets) * (1.0 - alpha)
        if weights is not None:
            lost *= targets * weights + (1.0 - targets)
        return tf.reduce_mean(lost, axis=-1)

    return loss
