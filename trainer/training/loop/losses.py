"""What training minimizes: a loss that fits the labels, the weights of the classes, and the accuracy beside it.

Labels are class indices, int64 (N,), or where photos may show several classes, 0 and 1 for each class, uint8
(N, classes). What a loss reads, the *targets*, are always one number a class.
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
"""From targets and scores, both float32 (N, classes), to what each picture loses, float32 (N,)."""

_LEAST_SCORE = 1e-7


def fitted_to(config: LossConfig, *, multi_label: bool) -> LossConfig:
    """The settings with a kind that fits the labels in the place of ``"auto"``.

    Raises:
        RecipeError: They ask for a loss that doesn't fit.
    """
    single: Literal["categorical_crossentropy"] = "categorical_crossentropy"
    several: Literal["binary_crossentropy"] = "binary_crossentropy"
    wrong, right = (single, several) if multi_label else (several, single)
    if config.kind == wrong:
        labels, output = ("several labels", "sigmoid") if multi_label else ("one label", "softmax")
        raise RecipeError(
            f"Expected loss.kind to be {right} or focal for photos with {labels} each, which get a network with a "
            f"{output} output, got {wrong!r}. Leave it at auto, or change the labels."
        )
    if config.alpha and not (multi_label and config.kind == "focal"):
        raise RecipeError(
            f"Expected loss.alpha only with loss.kind focal and several labels a photo, got {config.alpha:g}. Leave it "
            "out; loss.class_weights weighs the classes."
        )
    return replace(config, kind=right) if config.kind == "auto" else config


def make_loss(config: LossConfig, labels: NDArray[Any], classes: int, *, label_smoothing: float = 0.0) -> Any:
    """What Keras' ``compile`` takes as ``loss``.

    Args:
        config: Which loss.
        labels: Of the training pictures: their shape says which losses fit, their numbers what classes weigh.
        classes: Length of the output.
        label_smoothing: From 0 to 1 (Szegedy et al., 2016).

    Raises:
        RecipeError: The loss doesn't fit the labels.
    """
    import tf_keras

    config = fitted_to(config, multi_label=labels.ndim == 2)
    if config.kind == "categorical_crossentropy" and config.class_weights == "none":
        return tf_keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    return picture_loss(config, labels, classes, label_smoothing=label_smoothing)


def picture_loss(config: LossConfig, labels: NDArray[Any], classes: int, *, label_smoothing: float = 0.0) -> Loss:
    """What `make_loss` describes, picture by picture."""
    multi_label = labels.ndim == 2
    config = fitted_to(config, multi_label=multi_label)
    weights = class_weights(config, labels, classes)
    gamma = config.gamma if config.kind == "focal" else 0.0
    if multi_label:
        return _binary(weights, gamma, config.alpha, label_smoothing)
    return _categorical(weights, gamma, label_smoothing)


def class_weights(config: LossConfig, labels: NDArray[Any], classes: int) -> NDArray[np.float32] | None:
    """What each class weighs: float32 (classes,), or None where all weigh the same.

    With one label a photo, ``"balanced"`` is scikit-learn's: photos over classes times photos of the class, so that the
    mean over the photos is 1; ``"effective_number"`` is the paper's, whose mean over the classes is 1. With several, a
    class's weight is that of the photos that show it against those that don't: the ratio of the two numbers, or of the
    two effective numbers.
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
    """Labels as a loss reads them, float32 (N, classes)."""
    import tensorflow as tf

    return tf.cast(labels, tf.float32) if len(labels.shape) == 2 else tf.one_hot(labels, classes)


def accuracy_of(labels: NDArray[Any]) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A metric called ``accuracy`` for targets and scores (N, classes).

    Of one label a photo, the share of right top-1 answers; of several, the share of classes that are rightly said to be
    there or not, at a score of 0.5.
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
    """1 minus the score of what is true; never 0, where a power below 1 has no gradient."""
    import tensorflow as tf

    return tf.maximum(1.0 - scores, _LEAST_SCORE)


def _binary(weights: NDArray[np.float32] | None, gamma: float, alpha: float, label_smoothing: float) -> Loss:
    import tensorflow as tf
    import tf_keras

    def loss(targets: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
        smooth = targets * (1.0 - label_smoothing) + label_smoothing / 2.0
        lost = tf_keras.backend.binary_crossentropy(smooth, scores)  # of each class
        if gamma:
            lost *= _share_missing(targets * scores + (1.0 - targets) * (1.0 - scores)) ** gamma
        if alpha:
            lost *= targets * alpha + (1.0 - targets) * (1.0 - alpha)
        if weights is not None:
            lost *= targets * weights + (1.0 - targets)
        return tf.reduce_mean(lost, axis=-1)

    return loss
