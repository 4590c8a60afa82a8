"""What moves a network's weights: the optimizer, and the average of the weights on their way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.config import FinetuneConfig

if TYPE_CHECKING:
    import numpy as np
    import tf_keras
    from numpy.typing import NDArray


def make_optimizer(
    config: FinetuneConfig, learning_rate: float | tf_keras.optimizers.schedules.LearningRateSchedule
) -> tf_keras.optimizers.Optimizer:
    """The optimizer that the settings ask for.

    Args:
        config: ``optimizer``, ``momentum``, ``weight_decay``, ``clip_norm``, ``ema`` and ``mixed_precision``.
        learning_rate: From `trainer.training.schedules.make_schedule`.
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
    """A Keras callback that puts the weights' moving averages into the network while it is validated.

    They stay there for the callbacks before this one, which then find them at the epoch's end; after it, training goes
    on with the weights themselves. Without ``ema`` in the optimizer it does nothing.
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
