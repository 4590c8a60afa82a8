"""Search for better settings: trials are compared on the validation set; the test set is never used."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Recipe
from trainer.config.photo_count import augment_for_photos
from trainer.config.recipe_file import write_recipe
from trainer.config.search import SearchConfig
from trainer.environment import check_packages
from trainer.errors import OutputFolderError, SearchError
from trainer.storage import absolute, locked, write_bytes, write_json
from trainer.tracking.mlflow import MlflowFollower
from trainer.workflows.search.outcome import Outcome, Trial
from trainer.workflows.search.space import Space, default_space, networks_in, until_trained, with_values
from trainer.workflows.search.study import (
    check_optuna,
    default_storage,
    ended_trials,
    open_study,
    quiet_optuna,
    storage_errors,
)
from trainer.workflows.search.trials import Trials
from trainer.workflows.search.weights import Weights
from trainer.workflows.train.followed_run import check_tracking, marked_if_broken
from trainer.workflows.train.preflight import check_plan

if TYPE_CHECKING:
    import optuna

    from trainer.types import Dataset


def search_recipe(
    photos: str | Path,
    to: str | Path,
    recipe: Recipe | None = None,
    config: SearchConfig | None = None,
    *,
    space: Mapping[str, Any] | None = None,
    announce: Callable[[str], None] | None = None,
) -> Outcome:
    """Try settings around a recipe and write the best ones to ``best.toml``.

    The recipe's own settings are the first trial, so the result is never worse. Call it again with the same arguments
    to continue a search that was stopped.

    Args:
        photos: Folder, list or export with the photos; see `trainer.train`.
        to: Folder of the search: new, or of an earlier call with the same arguments.
        recipe: Settings to start from. Default: `Recipe()`.
        config: Search settings: number of trials, objective, sampler, pruner. Default: `SearchConfig()`.
        space: Values to try, by setting name: a list, or a dict with ``low``, ``high`` and optionally ``log``, for
            example ``{"head.learning_rate": {"low": 1e-3, "high": 1e-2, "log": True}, "width": [0.35, 1.0]}``.
            Default: learning rate, batch size, dropout, width and input size around the recipe.
        announce: Called with a line after each trial. Default: print to stderr.

    Returns:
        The trials of all machines that have ended, and the best of them.

    Raises:
        TrainerError: Photos, settings, space, weights, database or folder can't be used. Raised before the first trial.
    """
    check_packages()
    check_optuna()
    check_tracking((recipe or Recipe()).track)
    from trainer.data.dataset import scan

    recipe, config, photos, folder = recipe or Recipe(), config or SearchConfig(), absolute(photos), Path(to)
    announce = announce or (lambda line: print(line, file=sys.stderr))
    if recipe.extend.run:
        raise SearchError(
            f"Cannot search around a recipe that extends {recipe.extend.run}: its network is not trained. "
            "Search with the recipe of that run, without extend.run."
        )
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    _check(recipe, dataset)
    weights = Weights()
    if weights.of(recipe) is None and not config.finetune_epochs:
        raise SearchError(
            "No pretrained weights, and the trials train heads on pretrained features. "
            "Let trials train the whole network with --finetune, or name weights with --weights."
        )
    finetune = config.finetune_epochs > 0
    if finetune:  # decide on a set first; trials then scale its strength
        count = len(dataset.split("train"))
        recipe = replace(recipe, augment=augment_for_photos(recipe.augment, recipe.finetune, count))
    else:  # trials report each epoch, and a regression has none
        recipe = replace(recipe, head=replace(recipe.head, solver=recipe.head.solver or "adam"))
    varied = (
        Space.from_dict(space)
        if space is not None
        else default_space(recipe, finetune=finetune, has_weights=weights.can_be_had)
    )
    varied.check(recipe, finetune=finetune)
    for example in varied.examples(until_trained(recipe)):
        _check(example, dataset)
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
    with locked(folder), quiet_optuna(), storage_errors(storage):
        try:
            study = open_study(storage, config.study or photos.name, config, recipe, asked, epochs=epochs)
        except SearchError:
            if not any(folder.iterdir()):  # nothing was written yet
                folder.rmdir()
            raise
        _write_space(folder, varied)
        follower = _follower(folder, photos.name, recipe, asked, announce)
        with marked_if_broken([follower] if follower else []):
            try:
                Trials(study, recipe, config, varied, dataset, weights, announce, follower).run()
            finally:  # also when the search is stopped
                if any(trial.state.name == "COMPLETE" for trial in ended_trials(study)):
                    outcome = _write(folder, study, recipe, config, dataset)
    if follower:
        follower.run_ended({"accuracy": outcome.best.accuracy}, [outcome.recipe, *outcome.pages])
    return outcome


def _check(recipe: Recipe, dataset: Dataset) -> None:
    """Check that settings work with these photos."""
    decided = recipe.for_photos(len(dataset.split("train")), multi_label=dataset.multi_label)
    check_plan(decided, dataset.labels, multi_label=dataset.multi_label)


def _follower(
    folder: Path, name: str, recipe: Recipe, asked: dict[str, Any], warn: Callable[[str], None]
) -> MlflowFollower | None:
    """Return the follower that sends the trials to MLflow, if the recipe asks for it."""
    if not recipe.track.uri:
        return None
    settings = {"objective": asked["objective"], **asked["recipe"]}
    return MlflowFollower(folder, recipe.track, experiment=name, settings=settings, warn=warn)


def _write(folder: Path, study: optuna.Study, recipe: Recipe, config: SearchConfig, dataset: Dataset) -> Outcome:
    """Write the best trial as a recipe, the Pareto front's trials next to it, ``search.json`` and ``search.html``."""
    from trainer.workflows.search.page import render_search_page

    best, record, page = (folder / name for name in ("best.toml", "search.json", "search.html"))
    outcome = Outcome(
        study=study.study_name,
        objective=config.objective,
        recipe=best,
        trials=tuple(Trial.of(trial) for trial in ended_trials(study)),
        validation_photos=len(dataset.split("val")),
        multi_label=dataset.multi_label,
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
        raise OutputFolderError(f"{folder} contains other files. Choose a new or an earlier search's folder with --to.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFolderError(
            f"Cannot write to {folder}: {error.strerror or error}. Choose another folder with --to."
        ) from error


def _write_space(folder: Path, space: Space) -> None:
    import tomli_w

    write_bytes(folder / "space.toml", tomli_w.dumps(space.to_dict()).encode())


def _hash_of(dataset: Dataset) -> str:
    """Return a hash of the photos that is the same on every machine."""
    photos = [(photo.path, photo.sha256, photo.classes, photo.split) for photo in dataset.photos]
    return hashlib.sha256(json.dumps(photos).encode()).hexdigest()
