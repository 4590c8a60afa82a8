"""Trials that this process adds to a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.cache import cache_folder
from trainer.data.pixels import load_pixels
from trainer.environment import load_tensorflow
from trainer.errors import SearchError
from trainer.training.finetune import FitSettings, finetune
from trainer.training.head import fit_head
from trainer.training.loop.epoch_listener import listening
from trainer.training.networks.backbones import FEATURES_LAYER, HEAD_LAYER, build_network, scores_layer
from trainer.training.networks.contract import input_contract, input_size, training_contract
from trainer.types import Features, Split, TrainingSet
from trainer.workflows.search.cost import measure_cost
from trainer.workflows.search.features import cached_features
from trainer.workflows.search.outcome import COSTS, Trial
from trainer.workflows.search.space import Space, with_values
from trainer.workflows.search.study import ended_trials, grid_sampler
from trainer.workflows.search.weights import Weights

if TYPE_CHECKING:
    import optuna

    from trainer.config import Recipe
    from trainer.config.search import SearchConfig
    from trainer.tracking.mlflow import MlflowFollower
    from trainer.types import Dataset, Epoch


@dataclass
class Trials:
    """Runs trials around one recipe, on the same photos.

    Attributes:
        study: Study that the trials are added to.
        recipe: Recipe whose settings vary.
        config: Search settings.
        space: Settings that vary, and their values.
        dataset: Photos and their splits.
        weights: Initial weights of the networks.
        announce: Called with a line after each trial.
        follower: Sends the trials to MLflow; None if they aren't tracked.
    """

    study: optuna.Study
    recipe: Recipe
    config: SearchConfig
    space: Space
    dataset: Dataset
    weights: Weights
    announce: Callable[[str], None]
    follower: MlflowFollower | None

    def run(self) -> None:
        """Run trials until the requested number or the time limit is reached."""
        from optuna.study import MaxTrialsCallback
        from optuna.trial import TrialState

        if self.config.sampler == "grid":
            sampler = grid_sampler(self.space, self.recipe.seed)
            self.study.sampler = sampler
            if sampler.is_exhausted(self.study):
                return
        if len(ended_trials(self.study)) >= self.config.trials:
            return
        load_tensorflow()
        self._begin_with_own()
        enough = MaxTrialsCallback(self.config.trials, states=(TrialState.COMPLETE, TrialState.PRUNED))
        self.study.optimize(
            self._work,
            timeout=self.config.timeout_s or None,
            callbacks=[enough, self._tell],
            gc_after_trial=self.config.finetune_epochs > 0,
        )

    def _work(self, trial: optuna.Trial) -> float | tuple[float, float]:
        """Run one trial; return its accuracy, with the cost if the objective has one."""
        import optuna

        values = self.space.suggest(trial)
        recipe = with_values(self.recipe, values)
        cost = self._cost(recipe)
        for name, value in cost.items():
            trial.set_user_attr(name, value)
        stage = "finetune" if self.config.finetune_epochs else "head"
        alone = self.config.objective == "accuracy"
        accuracies: list[float] = []

        def hear(epoch: Epoch) -> None:
            if epoch.stage != stage:
                return
            accuracies.append(epoch.val_accuracy)
            if alone:  # Optuna prunes single-objective studies only
                trial.report(epoch.val_accuracy, epoch.epoch)
                if not trial.user_attrs.get("own") and trial.should_prune():
                    raise optuna.TrialPruned

        try:
            with listening(hear):
                weights, epochs = self.weights.of(recipe), self.config.finetune_epochs
                _, curve = train_trial(recipe, self.dataset, weights, finetune_epochs=epochs)
        finally:
            trial.set_user_attr("epochs", accuracies)
        accuracy = kept_accuracy(curve)
        return accuracy if alone else (accuracy, cost[COSTS[self.config.objective]])

    def _cost(self, recipe: Recipe) -> dict[str, float]:
        """Return the cost of a network, measured once per study so that all its trials agree."""
        name = f"{recipe.model.backbone} at {input_size(recipe)} px"
        known: dict[str, float] | None = self.study.user_attrs.get(name)
        if known is None:
            latency = self.config.objective == "accuracy+latency"
            known = measure_cost(recipe, self.dataset, latency=latency)
            self.study.set_user_attr(name, known)
        return known

    def _begin_with_own(self) -> None:
        from optuna.trial import TrialState

        own = self.space.own_values(self.recipe)
        if own is None:
            return
        given = [trial for trial in self.study.get_trials(deepcopy=False) if trial.user_attrs.get("own")]
        if all(trial.state == TrialState.FAIL for trial in given):
            self.study.enqueue_trial(own, user_attrs={"own": True})

    def _tell(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        ended = ended_trials(study)
        if trial.state.name not in ("COMPLETE", "PRUNED"):
            return
        this = Trial.of(trial)
        best = max(Trial.of(one).accuracy for one in ended if one.state.name == "COMPLETE")
        how = "pruned at " if this.state == "pruned" else ""
        self.announce(
            f"[{len(ended)}/{self.config.trials}] trial {this.number}: {how}{this.accuracy:.1%} (best {best:.1%}), "
            f"{this.seconds:.1f} s"
        )
        if self.follower:
            figures = {"accuracy": this.accuracy, "macs": this.macs, "seconds": this.seconds}
            figures |= {} if this.latency_ms is None else {"latency_ms": this.latency_ms}
            self.follower.add_nested(f"trial {this.number}", this.values, figures, this.epochs)


def train_trial(
    recipe: Recipe, dataset: Dataset, weights: Path | None, *, finetune_epochs: int
) -> tuple[Any, list[Epoch]]:
    """Train the head on cached features, and then the whole network if requested.

    Args:
        recipe: Settings of the trial.
        dataset: Photos and their splits; the test set is not used.
        weights: Weights file of the backbone; None trains the whole network from scratch.
        finetune_epochs: Epochs for the whole network; 0 trains the head alone.

    Returns:
        The network, or the head alone (from features to scores), and the learning curve of the last training.
    """
    import tf_keras

    load_tensorflow()
    tf_keras.backend.clear_session()  # free the previous trial
    contract = input_contract(recipe)
    if not finetune_epochs:
        assert weights is not None  # features of random weights are refused earlier
        head = _head_model(recipe, dataset, weights)
        return head, _train_head(head, recipe, dataset, weights)
    model = build_network(recipe, dataset, weights)
    if weights is not None:
        _train_head(model, recipe, dataset, weights)
    to_augment = training_contract(recipe, len(dataset.split("train")))
    train = load_pixels(dataset, "train", to_augment, cache_folder())
    val = load_pixels(dataset, "val", contract, cache_folder())
    config = replace(recipe.finetune, epochs=finetune_epochs)
    settings = FitSettings(config, recipe.augment, recipe.seed, loss=recipe.loss, progress=False)
    return model, finetune(model, TrainingSet(train, val, contract), settings, from_scratch=weights is None)


def kept_accuracy(curve: Sequence[Epoch]) -> float:
    """Return the validation accuracy, 0–1, of the epoch with the lowest loss, whose weights training keeps.

    Raises:
        SearchError: The learning curve is empty.
    """
    if not curve:
        raise SearchError("Trials have 0 epochs to train. Set head.epochs to at least 1.")
    return min(curve, key=lambda epoch: epoch.val_loss).val_accuracy


def _train_head(model: Any, recipe: Recipe, dataset: Dataset, weights: Path) -> list[Epoch]:
    if recipe.head.epochs == 0:
        return []

    def features(split: Split) -> Features:
        labels = load_pixels(dataset, split, input_contract(recipe), cache_folder()).labels
        return Features(cached_features(dataset, split, recipe, weights), labels)

    train, val = features("train"), features("val")
    return fit_head(model, train, val, recipe.head, seed=recipe.seed, loss=recipe.loss, progress=False)


def _head_model(recipe: Recipe, dataset: Dataset, weights: Path) -> Any:
    """Build the head alone, from features to scores, with the layer names of the whole network."""
    import tf_keras
    from tf_keras import layers

    features = layers.Input(cached_features(dataset, "val", recipe, weights).shape[1:])
    x = layers.Activation("linear", name=FEATURES_LAYER)(features)
    x = layers.Dropout(recipe.model.dropout, name="dropout")(x)
    x = layers.Dense(len(dataset.labels), name=HEAD_LAYER)(x)
    return tf_keras.Model(features, scores_layer(dataset.multi_label)(x))
