"""Searches for better settings: trials on the validation split, the test split is never looked at."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.artifacts import input_size
from trainer.config import Recipe
from trainer.config.search import SearchConfig
from trainer.environment import check_packages
from trainer.errors import OutputFolderError, SearchError, WeightsError
from trainer.files import write_bytes, write_json
from trainer.quiet import load_tensorflow
from trainer.recipe import write_recipe
from trainer.search.cost import measure_cost
from trainer.search.outcome import Outcome, Trial
from trainer.search.space import Space, default_space, networks_in, with_values
from trainer.search.study import (
    check_optuna,
    default_storage,
    ended_trials,
    grid_sampler,
    open_study,
    quiet_optuna,
    storage_errors,
)
from trainer.search.trial import kept_accuracy, train_trial
from trainer.tracking.mlflow import MlflowFollower
from trainer.tracking.track import check_tracking
from trainer.training.backbones import get_backbone
from trainer.training.listening import listening

if TYPE_CHECKING:
    import optuna

    from trainer.types import Dataset, Epoch


def search_recipe(
    photos: str | Path,
    to: str | Path,
    recipe: Recipe | None = None,
    config: SearchConfig | None = None,
    *,
    space: Mapping[str, Any] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Outcome:
    """Tries settings around a recipe and writes the best ones down as ``best.toml``; the same call goes on.

    Its own settings are the first trial, so that the best one is never worse than they are.

    Args:
        photos: The data set's folder, as for `trainer.train`.
        to: The search's folder, new or of this very search.
        recipe: The settings to begin with.
        config: How to search.
        space: What varies, as `trainer.search.space.Space.from_dict` takes it; None: what is worth varying.
        announce: Called with a line after each trial; default: printed on stderr.

    Returns:
        The trials of all machines that have ended.

    Raises:
        TrainerError: Photos, settings, space, weights, database or folder can't be used; said before the first trial.
    """
    check_packages()
    check_optuna()
    check_tracking((recipe or Recipe()).track)
    from trainer.data.dataset import scan

    recipe, config, photos, folder = recipe or Recipe(), config or SearchConfig(), Path(photos).resolve(), Path(to)
    announce = announce or (lambda line: print(line, file=sys.stderr))
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    weights = _Weights()
    if weights.of(recipe) is None and not config.finetune_epochs:
        raise SearchError(
            "Expected pretrained weights, whose features the trials' heads are trained on, got none. "
            "Let trials train the whole network with --finetune."
        )
    finetune = config.finetune_epochs > 0
    varied = (
        Space.from_dict(space)
        if space is not None
        else default_space(recipe, finetune=finetune, has_weights=lambda other: weights.can_be_had(other))
    )
    varied.check(recipe, finetune=finetune)
    for network in networks_in(varied, recipe):
        weights.of(network)
    _take_folder(folder)
    storage = config.storage or default_storage(folder)
    asked: dict[str, Any] = {
        "photos": _hash_of(dataset),
        "recipe": recipe.without_tracking().to_dict(),
        "space": varied.to_dict(),
        "objective": f"{config.objective}, {config.finetune_epochs} epochs" if finetune else config.objective,
    }
    epochs = config.finetune_epochs or recipe.head.epochs
    with quiet_optuna():
        try:
            study = open_study(storage, config.study or photos.name, config, recipe, asked, epochs=epochs)
        except SearchError:
            if not any(folder.iterdir()):  # nothing was begun
                folder.rmdir()
            raise
        _write_space(folder, varied)
        follower = _follower(folder, photos.name, recipe, asked, announce)
        trials = _Trials(study, recipe, config, varied, dataset, weights, announce, follower)
        try:
            with storage_errors(storage):
                trials.run()
        except BaseException as error:
            if follower:
                follower.run_broken(stopped=isinstance(error, KeyboardInterrupt))
            raise
        finally:
            if any(trial.state.name == "COMPLETE" for trial in ended_trials(study)):
                outcome = _write(folder, study, recipe, config, dataset)
    if follower:
        follower.run_ended({"accuracy": outcome.best.accuracy}, [outcome.recipe, *outcome.pages])
    return outcome


def _follower(
    folder: Path, name: str, recipe: Recipe, asked: dict[str, Any], warn: Callable[[str], None]
) -> MlflowFollower | None:
    """What sends the trials to MLflow, where the recipe asks for it."""
    if not recipe.track.uri:
        return None
    settings = {"objective": asked["objective"], **asked["recipe"]}
    return MlflowFollower(folder, recipe.track, experiment=name, settings=settings, warn=warn)


class _Weights:
    """The backbones' weights, each looked for once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, int, str], Path | None] = {}

    def of(self, recipe: Recipe) -> Path | None:
        """The file; None: from scratch."""
        from trainer.training.weights import resolve_weights

        key = (recipe.model.backbone, input_size(recipe), recipe.model.weights)
        if key not in self._found:
            backbone = get_backbone(recipe.model.backbone)
            self._found[key] = resolve_weights(backbone, recipe.model.weights, input_size(recipe))
        return self._found[key]

    def can_be_had(self, recipe: Recipe) -> bool:
        """Whether a network has what the recipe asks for; a file fits one network."""
        if recipe.model.weights not in ("imagenet", "auto"):
            return recipe.model.weights == "none"
        try:
            return self.of(recipe) is not None
        except WeightsError:
            return False


@dataclass
class _Trials:
    """The trials of this process."""

    study: optuna.Study
    recipe: Recipe
    config: SearchConfig
    space: Space
    dataset: Dataset
    weights: _Weights
    announce: Callable[[str], None]
    follower: MlflowFollower | None
    costs: dict[str, dict[str, float]] = field(default_factory=dict)

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
            self.work,
            timeout=self.config.timeout_s or None,
            callbacks=[enough, self._tell],
            gc_after_trial=self.config.finetune_epochs > 0,
        )

    def work(self, trial: optuna.Trial) -> float | tuple[float, float]:
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
        return accuracy if alone else (accuracy, cost["macs" if "macs" in self.config.objective else "latency_ms"])

    def _cost(self, recipe: Recipe) -> dict[str, float]:
        """Of a network: measured once in a study, so that all its trials tell the same."""
        name = f"{recipe.model.backbone} at {input_size(recipe)} px"
        known: dict[str, float] | None = self.costs.get(name) or self.study.user_attrs.get(name)
        if known is None:
            latency = self.config.objective == "accuracy+latency"
            known = measure_cost(recipe, self.dataset, latency=latency)
            self.study.set_user_attr(name, known)
        self.costs[name] = known
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


def _write(folder: Path, study: optuna.Study, recipe: Recipe, config: SearchConfig, dataset: Dataset) -> Outcome:
    """The best trial as a recipe, with those of the front beside it, and what was found for programs and people."""
    from trainer.search.page import render_search_page

    best, record, page = (folder / name for name in ("best.toml", "search.json", "search.html"))
    outcome = Outcome(
        study=study.study_name,
        objective=config.objective,
        recipe=best,
        trials=tuple(Trial.of(trial) for trial in ended_trials(study)),
        validation_photos=len(dataset.split("val")),
        pages=(record, page),
    )
    write_recipe(with_values(recipe, outcome.best.values), best)
    for trial in outcome.front if outcome.cost else ():
        write_recipe(with_values(recipe, trial.values), folder / f"trial-{trial.number}.toml")
    write_json(record, {**outcome.to_dict(), "space": study.user_attrs["asked"]["space"]})
    write_bytes(page, render_search_page(outcome, study, dataset.root.name).encode())
    return outcome


def _take_folder(folder: Path) -> None:
    found = {path.name for path in folder.iterdir()} if folder.is_dir() else {"a file"} if folder.exists() else set()
    if found and not found & {"space.toml", "study.db"}:
        raise OutputFolderError(f"Expected {folder} to be a new folder or one of a search. Choose another with --to.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFolderError(
            f"Expected to write into {folder}, got: {error.strerror or error}. Choose another folder with --to."
        ) from error


def _write_space(folder: Path, space: Space) -> None:
    import tomli_w

    write_bytes(folder / "space.toml", tomli_w.dumps(space.to_dict()).encode())


def _hash_of(dataset: Dataset) -> str:
    """The same on each machine that has the same photos."""
    photos = [(photo.path, photo.sha256, photo.split) for photo in dataset.photos]
    return hashlib.sha256(json.dumps(photos).encode()).hexdigest()
