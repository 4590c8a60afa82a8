"""The trials that this process adds to a study."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.quiet import load_tensorflow
from trainer.search.cost import measure_cost
from trainer.search.outcome import COSTS, Trial
from trainer.search.space import Space, with_values
from trainer.search.study import ended_trials, grid_sampler
from trainer.search.trial import kept_accuracy, train_trial
from trainer.search.weights import Weights
from trainer.training.contract import input_size
from trainer.training.listening import listening

if TYPE_CHECKING:
    import optuna

    from trainer.config import Recipe
    from trainer.config.search import SearchConfig
    from trainer.tracking.mlflow import MlflowFollower
    from trainer.types import Dataset, Epoch


@dataclass
class Trials:
    """They are all made around one recipe, on the same photos.

    Attributes:
        study: That they are added to.
        recipe: Whose settings vary.
        config: How to search.
        space: What varies.
        dataset: The photos.
        weights: That networks begin with.
        announce: Called with a line after each trial.
        follower: What sends them to MLflow; None: nothing does.
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
        """Until there are as many as were asked for, or no time is left."""
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
        """One of them."""
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
            if alone:  # Optuna prunes for one objective only
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
        """Of a network: measured once in a study, so that all its trials tell the same."""
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
