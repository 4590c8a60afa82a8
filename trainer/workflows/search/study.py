"""The study: Optuna's record of a search in a database, which outlives it and which several machines may share."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Recipe
from trainer.errors import PackagesError, SearchError

if TYPE_CHECKING:
    import optuna

    from trainer.config.search import SearchConfig
    from trainer.workflows.search.space import Space

INSTALL = "pip install 'edge-image-sdk[search]'"

_HEARTBEAT_S, _GRACE_S = 15, 60
"""A trial whose process was killed counts as failed when other machines haven't heard of it for so long."""


def check_optuna() -> None:
    """Raises a PackagesError that names the command where Optuna is missing."""
    if find_spec("optuna") is None:
        raise PackagesError(f"Expected Optuna for a search, but it is missing. Run: {INSTALL}")


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Without its log and its warnings on what is experimental in it."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


@contextmanager
def storage_errors(storage: str) -> Iterator[None]:
    """What a database answers, in one sentence."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unreachable(storage, error) from error


def open_study(
    storage: str, name: str, config: SearchConfig, recipe: Recipe, asked: dict[str, Any], *, epochs: int
) -> optuna.Study:
    """Begins a study, or goes on with it: trials that were killed on the way have failed.

    Args:
        storage: Its database's URL.
        name: Of the study.
        config: How it searches; sampler and pruner may change between two runs.
        recipe: Its seed.
        asked: What the study is about: ``"photos"``, ``"recipe"``, ``"space"`` and ``"objective"``.
        epochs: Of a trial.

    Raises:
        SearchError: The database can't be reached, or the study is about something else.
    """
    import optuna

    asked = json.loads(json.dumps(asked))  # tuples are lists in the database
    heartbeat = {"heartbeat_interval": _HEARTBEAT_S, "grace_period": _GRACE_S}
    directions = ["maximize"] if config.objective == "accuracy" else ["maximize", "minimize"]
    with storage_errors(storage):
        try:
            database = optuna.storages.RDBStorage(storage, **heartbeat)
        except ImportError as error:  # of the database's driver
            raise _unreachable(storage, error) from error
        known = name in optuna.get_all_study_names(database)
        if known:
            study = optuna.load_study(study_name=name, storage=database)
        else:
            study = optuna.create_study(study_name=name, storage=database, directions=directions, load_if_exists=True)
        if "asked" not in study.user_attrs and not study.get_trials(deepcopy=False):
            study.set_user_attr("asked", asked)
        begun = study.user_attrs.get("asked", {})
        changed = [what for what in asked if not _same(what, begun.get(what), asked[what])]
        if changed:
            raise SearchError(
                f"Expected the study {name!r} in {without_password(storage)} to be of the same photos, recipe, space "
                f"and objective, but it was begun with another {' and '.join(changed)}. Choose another --to or "
                "--study, or repeat the command that it was begun with."
            )
        if not config.storage:  # nobody else is at work on it
            for killed in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
                study.tell(killed.number, state=optuna.trial.TrialState.FAIL)
        # The same seed after a restart would draw the same values again, and so would the machines beside this one.
        seed = None if config.storage else recipe.seed + len(study.get_trials(deepcopy=False))
    study.pruner = _pruner(config, epochs)
    study.sampler = _sampler(config, seed)
    return study


def grid_sampler(space: Space, seed: int) -> optuna.samplers.GridSampler:
    """The sampler of an exhaustive search, which ends when each combination was tried."""
    import optuna

    return optuna.samplers.GridSampler(space.grid(), seed=seed)


def ended_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Those that were completed or pruned."""
    from optuna.trial import TrialState

    ended: list[optuna.trial.FrozenTrial] = study.get_trials(
        deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
    )
    return ended


def default_storage(folder: Path) -> str:
    """SQLite in a search's folder."""
    return f"sqlite:///{folder.resolve() / 'study.db'}"


def without_password(storage: str) -> str:
    """A database's URL for people."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return str(make_url(storage).render_as_string(hide_password=True))
    except ArgumentError:
        return storage


def _unreachable(storage: str, error: Exception) -> SearchError:
    reason = str(error.__cause__ or error).splitlines()[0].rstrip(".")
    return SearchError(
        f"Expected to reach the study's database at {without_password(storage)}, got: {reason}. "
        "Check --storage (as postgresql://user@host/name), the database and its driver; what was finished is kept."
    )


def _same(what: str, begun: Any, asked: Any) -> bool:
    if what == "recipe" and isinstance(begun, dict):  # a setting that is newer than the study had its default then
        try:
            return Recipe.from_dict(begun) == Recipe.from_dict(asked)
        except ValueError:
            return False
    return bool(begun == asked)


def _sampler(config: SearchConfig, seed: int | None) -> optuna.samplers.BaseSampler:
    import optuna

    if config.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)


def _pruner(config: SearchConfig, epochs: int) -> optuna.pruners.BasePruner:
    import optuna

    if config.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 5))
    if config.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=max(1, epochs))
    return optuna.pruners.NopPruner()
