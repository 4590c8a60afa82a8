"""Searches for better settings: trials on the validation split, the test split is never looked at."""

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
    """Tries settings around a recipe and writes the best ones down as ``best.toml``; the same call goes on.

    Its own settings are the first trial, so that the best one is never worse than they are.

    Args:
        photos: The data set's folder, as for `trainer.train`.
        to: The search's folder, new or of this very search.
        recipe: The settings to begin with.
        config: How to search.
        space: What varies, as `trainer.workflows.search.space.Space.from_dict` takes it; None: what is worth varying.
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

    recipe, config, photos, folder = recipe or Recipe(), config or SearchConfig(), absolute(photos), Path(to)
    announce = announce or (lambda line: print(line, file=sys.stderr))
    if recipe.extend.run:
        raise SearchError(
            f"Expected the recipe of a network that is trained, got one that extends {recipe.extend.run}, "
            "whose network stays as it is. Search with that run's own recipe, without extend.run."
        )
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    _check(recipe, dataset)
    weights = Weights()
    if weights.of(recipe) is None and not config.finetune_epochs:
        raise SearchError(
            "Expected pretrained weights, whose features the trials' heads are trained on, got none. "
            "Let trials train the whole network with --finetune."
        )
    finetune = config.finetune_epochs > 0
    if finetune:  # a set is decided for before its changes are made weaker or stronger
        count = len(dataset.split("train"))
        recipe = replace(recipe, augment=augment_for_photos(recipe.augment, recipe.finetune, count))
    else:  # its trials tell of their epochs, which a regression has none of
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
            if not any(folder.iterdir()):  # nothing was begun
                folder.rmdir()
            raise
        _write_space(folder, varied)
        follower = _follower(folder, photos.name, recipe, asked, announce)
        with marked_if_broken([follower] if follower else []):
            try:
                Trials(study, recipe, config, varied, dataset, weights, announce, follower).run()
            finally:  # also of a search that is stopped
                if any(trial.state.name == "COMPLETE" for trial in ended_trials(study)):
                    outcome = _write(folder, study, recipe, config, dataset)
    if follower:
        follower.run_ended({"accuracy": outcome.best.accuracy}, [outcome.recipe, *outcome.pages])
    return outcome


def _check(recipe: Recipe, dataset: Dataset) -> None:
    """Refuses settings that can't work on these photos."""
    decided = recipe.for_photos(len(dataset.split("train")), multi_label=dataset.multi_label)
    check_plan(decided, dataset.labels, multi_label=dataset.multi_label)


def _follower(
    folder: Path, name: str, recipe: Recipe, asked: dict[str, Any], warn: Callable[[str], None]
) -> MlflowFollower | None:
    """What sends the trials to MLflow, where the recipe asks for it."""
    if not recipe.track.uri:
        return None
    settings = {"objective": asked["objective"], **asked["recipe"]}
    return MlflowFollower(folder, recipe.track, experiment=name, settings=settings, warn=warn)


def _write(folder: Path, study: optuna.Study, recipe: Recipe, config: SearchConfig, dataset: Dataset) -> Outcome:
    """The best trial as a recipe, with those of the front beside it, and what was found for programs and people."""
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
    photos = [(photo.path, photo.sha256, photo.classes, photo.split) for photo in dataset.photos]
    return hashlib.sha256(json.dumps(photos).encode()).hexdigest()
