"""The study: Optuna's record of a search in a database, which survives restarts and can be shared by machines."""

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
"""A trial counts as failed when its process hasn't sent a heartbeat for this many seconds."""


def check_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        PackagesError: It isn't; the message names the command that installs it.
    """
    if find_spec("optuna") is None:
        raise PackagesError(f"Optuna is not installed, and a search needs it. Run: {INSTALL}")


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Silence Optuna's log and its warnings about experimental features."""
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
    """Turn database errors into one sentence.

    Raises:
        SearchError: The database can't be reached or refuses the request.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        raise _unreachable(storage, error) from error


def open_study(
    storage: str, name: str, config: SearchConfig, recipe: Recipe, asked: dict[str, Any], *, epochs: int
) -> optuna.Study:
    """Create a study or continue it; trials that were killed meanwhile are marked as failed.

    Args:
        storage: URL of the database.
        name: Name of the study.
        config: Search settings; sampler and pruner may change between two runs.
        recipe: Recipe whose seed is used.
        asked: What identifies the study: ``"photos"``, ``"recipe"``, ``"space"`` and ``"objective"``.
        epochs: Number of epochs of a trial.

    Raises:
        SearchError: The database can't be reached, or the study has other photos, recipe, space or objective.
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
                f"The study {name!r} in {without_password(storage)} was started with another "
                f"{' and '.join(changed)}. Choose another --to or --study, or repeat the original command."
            )
        if not config.storage:  # no other machine works on it
            for killed in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
                study.tell(killed.number, state=optuna.trial.TrialState.FAIL)
        # After a restart the same seed would draw the same values again, and so would the other machines.
        seed = None if config.storage else recipe.seed + len(study.get_trials(deepcopy=False))
    study.pruner = _pruner(config, epochs)
    study.sampler = _sampler(config, seed)
    return study


def grid_sampler(space: Space, seed: int) -> optuna.samplers.GridSampler:
    """Return the sampler of an exhaustive search, which ends when every combination was tried."""
    import optuna

    return optuna.samplers.GridSampler(space.grid(), seed=seed)


def ended_trials(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that were completed or pruned."""
    from optuna.trial import TrialState

    ended: list[optuna.trial.FrozenTrial] = study.get_trials(
        deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)
    )
    return ended


def default_storage(folder: Path) -> str:
    """Return the URL of an SQLite database in the search's folder."""
    return f"sqlite:///{folder.resolve() / 'study.db'}"


def without_password(storage: str) -> str:
    """Return a database URL with its password hidden."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return str(make_url(storage).render_as_string(hide_password=True))
    except ArgumentError:
        return storage


def _unreachable(storage: str, error: Exception) -> SearchError:
    reason = str(error.__cause__ or error).splitlines()[0].rstrip(".")
    return SearchError(
        f"Cannot reach the study's database at {without_password(storage)}: {reason}. "
        "Check --storage (for example postgresql://user@host/name), the database and its driver. "
        "Finished trials are kept."
    )


def _same(what: str, begun: Any, asked: Any) -> bool:
    if what == "recipe" and isinstance(begun, dict):  # a setting added after the study began had its default
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
