"""Optimizers, learning-rate schedules and averaged weights, as a recipe's fine-tuning sets them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainer.config import FinetuneConfig
from trainer.types import Epoch

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray


def make_optimizer(
    config: FinetuneConfig, learning_rate: float | tf_keras.optimizers.schedules.LearningRateSchedule
) -> tf_keras.optimizers.Optimizer:
    """Create the optimizer for a training.

    Args:
        config: Settings, of which ``optimizer``, ``momentum``, ``weight_decay``, ``clip_norm``, ``ema`` and
            ``mixed_precision`` are used.
        learning_rate: Learning rate or schedule, from `make_schedule`.
    """
    from tf_keras import mixed_precision, optimizers

    settings: dict[str, Any] = {"learning_rate": learning_rate, "global_clipnorm": config.clip_norm or None}
    if config.ema:
        settings |= {"use_ema": True, "ema_momentum": config.ema}
    if config.optimizer == "adam":
        optimizer = optimizers.Adam(**settings)
    elif config.optimizer == "sgd":
        settings |= {"momentum": config.momentum, "nesterov": True}
        optimizer = optimizers.SGD(weight_decay=config.weight_decay, **settings)
    else:
        optimizer = optimizers.AdamW(weight_decay=config.weight_decay, **settings)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return mixed_precision.LossScaleOptimizer(optimizer) if config.mixed_precision else optimizer


def swap_in_averages() -> tf_keras.callbacks.Callback:
    """Return a Keras callback that puts the moving averages of the weights into the network for validation.

    Callbacks before this one still find the averages at the end of the epoch; after it, training continues with the
    weights themselves. The optimizer must use ``ema``.
    """
    import tf_keras

    class SwapInAverages(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
            variables = self.model.trainable_variables
            self.trained: list[NDArray[np.float32]] = [variable.numpy() for variable in variables]
            self.model.optimizer.finalize_variable_values(variables)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            for variable, trained in zip(self.model.trainable_variables, self.trained, strict=True):
                variable.assign(trained)

    return SwapInAverages()


def _ignore(curve: Sequence[Epoch]) -> None:
    """Ignore the curve, for a schedule that is fixed in advance."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the steps of a training.

    Attributes:
        rate: Learning rate for a Keras optimizer, a number or a schedule.
        follow: Callback for the end of each epoch; takes the learning curve so far.
    """

    rate: float | tf_keras.optimizers.schedules.LearningRateSchedule
    follow: Callable[[Sequence[Epoch]], None] = _ignore


def make_schedule(config: FinetuneConfig, *, steps: int) -> Schedule:
    """Create the learning-rate schedule for a training.

    Args:
        config: Settings, of which ``schedule``, ``learning_rate``, ``warmup_epochs``, ``decay``, ``decay_epochs``,
            ``epochs`` and ``patience`` are used.
        steps: Number of steps in an epoch.
    """
    import tensorflow as tf

    peak, warmup_steps = config.learning_rate, round(steps * config.warmup_epochs)
    if config.schedule == "cosine":
        return Schedule(cosine_with_warmup(peak, steps=steps * config.epochs, warmup_steps=warmup_steps))
    if config.schedule == "step":
        every = steps * (config.decay_epochs or max(1, round(config.epochs / 3)))
        return Schedule(_with_warmup(peak, warmup_steps, lambda step: config.decay ** tf.floor(step / every)))
    if config.schedule == "plateau":
        factor = tf.Variable(1.0, trainable=False, name="plateau_factor")
        wait = config.decay_epochs or max(1, round(config.patience / 3))

        def follow(curve: Sequence[Epoch]) -> None:
            factor.assign(config.decay ** plateaus([epoch.val_loss for epoch in curve], wait))

        return Schedule(_with_warmup(peak, warmup_steps, lambda step: factor.read_value()), follow)
    if warmup_steps:
        return Schedule(_with_warmup(peak, warmup_steps, tf.ones_like))
    return Schedule(peak)


def cosine_with_warmup(
    peak: float, *, steps: int, warmup_steps: int
) -> tf_keras.optimizers.schedules.LearningRateSchedule:
    """Rise linearly from 0 to ``peak``, then fall along half a cosine to 0 (Loshchilov & Hutter, 2017)."""
    from tf_keras.optimizers.schedules import CosineDecay

    warmup_steps = min(warmup_steps, steps - 1)
    if warmup_steps < 1:
        return CosineDecay(peak, max(steps, 1))
    return CosineDecay(0.0, steps - warmup_steps, warmup_target=peak, warmup_steps=warmup_steps)


def plateaus(losses: Sequence[float], wait: int) -> int:
    """Count the plateaus in a loss: runs of epochs without a new minimum. After each, counting restarts.

    Args:
        losses: Validation loss of each epoch, in order.
        wait: Length of a plateau, in epochs.
    """
    found, waited, best = 0, 0, float("inf")
    for loss in losses:
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if waited == wait:
            found, waited = found + 1, 0
    return found


def _with_warmup(
    peak: float, warmup_steps: int, factor: Callable[[tf.Tensor], tf.Tensor]
) -> tf_keras.optimizers.schedules.LearningRateSchedule:
    """Return the schedule ``peak × factor(step)``, with a linear rise from 0 at the start."""
    import tensorflow as tf
    from tf_keras.optimizers.schedules import LearningRateSchedule

    class WithWarmup(LearningRateSchedule):  # type: ignore[misc]  # tf_keras has no types
        def __call__(self, step: tf.Tensor) -> tf.Tensor:
            step = tf.cast(step, tf.float32)
            rise = tf.minimum(step / warmup_steps, 1.0) if warmup_steps else 1.0
            return peak * rise * factor(step)

    return WithWarmup()
