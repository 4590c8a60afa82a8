"""Find a learning rate: increase it at every step, and watch where the loss is lowest and where training diverges.

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
_BROKEN = 2.0  # times the lowest loss so far: training has diverged
_WINDOW = 9  # steps to average the loss over
_LEAST_STEPS = 20
_FEW = 32  # validation pictures; their accuracy is not used


@dataclass(frozen=True)
class RateSweep:
    """Loss over increasing learning rates.

    Attributes:
        rates: Learning rate of each step, ascending.
        losses: Training loss of each step, averaged over neighboring steps.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]

    @property
    def suggestion(self) -> float:
        """Half the rate with the lowest loss, rounded to two digits, as the peak of a decaying schedule.

        At the lowest loss itself, the rate is about to be too high.
        """
        lowest = self.losses.index(min(self.losses))
        return float(f"{self.rates[lowest] / 2:.1e}")


def find_learning_rate(photos: Path, recipe: Recipe, *, steps: int = 100, progress: bool = True) -> RateSweep:
    """Run a sweep from the state in which a run would begin fine-tuning. The network is discarded.

    Args:
        photos: Folder of the data set, as for `trainer.train`.
        recipe: All settings; ``finetune.learning_rate`` and the schedule are ignored.
        steps: Number of steps from the lowest to the highest rate, at least 20.
        progress: Whether to show progress bars on stderr.

    Raises:
        TrainerError: Photos, settings or weights cannot be used.
    """
    from trainer.data.dataset import scan
    from trainer.data.pixels import load_pixels
    from trainer.training.networks.weights import resolve_weights

    if steps < _LEAST_STEPS:
        raise RecipeError(f"A learning-rate sweep needs at least {_LEAST_STEPS} steps, got {steps}.")
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
    """Train a model with a learning rate that grows from `LOWEST` to `HIGHEST`, or until the loss has doubled.

    Args:
        model: Model as for `trainer.training.finetune.finetune`; useless afterwards.
        data: Training pictures, and validation pictures, few of which are used.
        settings: Settings as for `finetune`; schedule, epochs and stage are replaced.
        from_scratch: Whether the model lacks pretrained weights.
        steps: Number of steps from the lowest to the highest rate.
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
    """Return a Keras callback that sets the learning rate of each step, and stops when training diverges."""
    import tf_keras

    class Sweep(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.losses: list[float] = []

        def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
            self.model.reset_metrics()  # so that the loss covers this batch only
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
    """Return moving averages, over narrower windows at the ends."""
    windows = (losses[max(0, i - _WINDOW // 2) : i + _WINDOW // 2 + 1] for i in range(len(losses)))
    return tuple(sum(window) / len(window) for window in windows)
