"""Finds a learning rate: it grows from step to step, and the loss tells where training is fastest and where it breaks.

Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Recipe
from trainer.data.cache import cache_folder
from trainer.environment import load_tensorflow
from trainer.errors import RecipeError
from trainer.training.finetune import FitSettings, finetune
from trainer.training.head import train_head
from trainer.training.loop.mixed_precision import check_precision
from trainer.training.networks.backbones import build_network, get_backbone
from trainer.training.networks.contract import input_contract, input_size, training_contract
from trainer.types import Pixels, TrainingSet

if TYPE_CHECKING:
    import tf_keras

LOWEST, HIGHEST = 1e-6, 10.0
_BROKEN = 2.0  # times the lowest loss so far: training has come apart
_WINDOW = 9  # steps over which the loss is averaged
_LEAST_STEPS = 20
_FEW = 32  # pictures to validate on, which plays no part


@dataclass(frozen=True)
class RateSweep:
    """The loss over growing learning rates.

    Attributes:
        rates: Of each step, ascending.
        losses: Of each step's batch, averaged over the steps around it.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float:
        """Half the rate at which the loss is lowest, rounded to two digits: a peak for a schedule that decays from it.

        Where the loss is lowest, the rate is about to be too high.
        """
        lowest = self.losses.index(min(self.losses))
        return float(f"{self.rates[lowest] / 2:.1e}")


def find_learning_rate(photos: Path, recipe: Recipe, *, steps: int = 100, progress: bool = True) -> RateSweep:
    """Trains as a run's fine-tuning would begin, a few steps long, and throws the network away.

    Args:
        photos: As for `trainer.train`.
        recipe: The settings; ``finetune.learning_rate`` and the schedule play no part.
        steps: Of the sweep.
        progress: Whether bars are drawn on stderr.

    Raises:
        TrainerError: Photos, settings or weights can't be used.
    """
    from trainer.data.dataset import scan
    from trainer.data.pixels import load_pixels
    from trainer.training.networks.weights import resolve_weights

    if steps < _LEAST_STEPS:
        raise RecipeError(f"Expected at least {_LEAST_STEPS} steps to see a curve, got {steps}.")
    check_precision(recipe.finetune)
    backbone, contract = get_backbone(recipe.model.backbone), input_contract(recipe)
    weights = resolve_weights(backbone, recipe.model.weights, input_size(recipe))
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    train, val = (load_pixels(dataset, split, contract, cache_folder()) for split in ("train", "val"))
    load_tensorflow()
    model = build_network(recipe, dataset, weights)
    if weights is not None:
        data = TrainingSet(train, val, contract)
        train_head(model, data, recipe.head, seed=recipe.seed, loss=recipe.loss, progress=progress)
    to_augment = training_contract(recipe, len(dataset.split("train")))
    data = TrainingSet(load_pixels(dataset, "train", to_augment, cache_folder()), val, contract)
    settings = FitSettings(recipe.finetune, recipe.augment, recipe.seed, loss=recipe.loss, progress=progress)
    return sweep_rates(model, data, settings, from_scratch=weights is None, steps=steps)


def sweep_rates(
    model: tf_keras.Model, data: TrainingSet, settings: FitSettings, *, from_scratch: bool = False, steps: int = 100
) -> RateSweep:
    """Trains a model with a learning rate that grows from `LOWEST` to `HIGHEST`, or until the loss has doubled.

    Args:
        model: As for `trainer.training.finetune.finetune`; of no use afterwards.
        data: Pictures to train on and, of which only a few are used, to validate on.
        settings: Settings as for `finetune`; schedule, epochs and stage are replaced.
        from_scratch: The model holds no pretrained weights.
        steps: From the lowest to the highest rate.
    """
    train, val, config = data.train, data.val, settings.finetune
    growth = (HIGHEST / LOWEST) ** (1 / (steps - 1))
    rates = [LOWEST * growth**step for step in range(steps)]
    epochs = math.ceil(steps * config.batch_size / len(train))
    sweep = _sweep(rates)
    few = Pixels(val.images[:_FEW], val.labels[:_FEW], val.paths[:_FEW])
    config = replace(
        config, schedule="constant", warmup_epochs=0.0, epochs=epochs, patience=epochs, start_size=0.0, ema=0.0
    )
    settings = replace(settings, finetune=config, stage="find-lr", callbacks=(sweep,))
    finetune(model, replace(data, val=few), settings, from_scratch=from_scratch)
    losses = _averaged(sweep.losses)
    return RateSweep(tuple(rates[: len(losses)]), losses)


def _sweep(rates: list[float]) -> Any:
    """A Keras callback that sets the learning rate of each step, and stops when the loss has come apart."""
    import tf_keras

    class Sweep(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.model.reset_metrics()  # so that the loss is this batch's alone
            self.model.optimizer.learning_rate = rates[len(self.losses)]

        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            loss = float((logs or {})["loss"])
            if math.isfinite(loss):
                self.losses.append(loss)
            means = _averaged(self.losses)
            broken = not math.isfinite(loss) or means[-1] > _BROKEN * min(means)
            self.model.stop_training = broken or len(self.losses) == len(rates)

    return Sweep()


def _averaged(losses: list[float]) -> tuple[float, ...]:
    """Means over windows around each step, narrower at the ends."""
    windows = (losses[max(0, i - _WINDOW // 2) : i + _WINDOW // 2 + 1] for i in range(len(losses)))
    return tuple(sum(window) / len(window) for window in windows)
