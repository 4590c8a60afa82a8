"""A run: one folder, one sub-folder a stage. A stage is finished when its folder was renamed into place.

A run that was killed goes on where it stopped: finished stages are kept, the one under way starts again, and its
trainings go on from the last finished epoch.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from trainer.config import Recipe
from trainer.config.recipe_file import write_recipe
from trainer.errors import OutputFolderError
from trainer.storage import PARTIAL, absolute, locked, put_in_place, read_json, write_json
from trainer.training.loop.checkpoint import checkpoints_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.training.distribution.strategy import Distribution


@dataclass(frozen=True)
class Run:
    """A run's folder and what it was asked to do.

    Attributes:
        folder: Where everything is written.
        photos: The data set's folder.
        recipe: All the settings.
        weights: Pretrained weights to begin with; None: from scratch.
        distribution: Where fine-tuning takes place; None: here alone.
    """

    folder: Path
    photos: Path
    recipe: Recipe
    weights: Path | None
    distribution: Distribution | None = None

    def stage(self, name: str) -> Path:
        """The folder of a finished stage."""
        return self.folder / "stages" / name


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: Of its folder.
        title: For people, in progress output.
        work: Writes its results into the folder that it is given.
        wanted: Whether a recipe asks for it.
    """

    name: str
    title: str
    work: Callable[[Run, Path], None]
    wanted: Callable[[Recipe], bool] = lambda recipe: True


def open_run(folder: Path, photos: Path, recipe: Recipe, weights: Path | None) -> Run:
    """Starts a run in a folder, or goes on with the one that is there.

    Raises:
        OutputFolderError: The folder can't be written, or holds something else or a run with other settings.
    """
    run = Run(folder, photos, recipe, weights)
    request = folder / "run.json"
    asked = {"photos": str(absolute(photos)), "recipe": recipe.to_dict()}
    if request.exists():
        _require_asked(run)
        if not (folder / "recipe.toml").exists():  # the process was killed between the two
            write_recipe(recipe, folder / "recipe.toml")
        return run
    if folder.exists() and (not folder.is_dir() or set(folder.iterdir()) - set(folder.glob(PARTIAL))):
        raise OutputFolderError(f"Expected {folder} to be a new or empty folder. Choose another one with --to.")
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(request, asked)
        write_recipe(recipe, folder / "recipe.toml")
    except OSError as error:
        if folder.is_dir():
            request.unlink(missing_ok=True)
            if not was_there:
                folder.rmdir()
        raise OutputFolderError(
            f"Expected to write into {folder}, got: {error.strerror or error}. Choose another folder with --to."
        ) from error
    return run


def load_run(folder: Path) -> Run:
    """A run as it was started, to read what it has made.

    Raises:
        OutputFolderError: The folder holds no run.
    """
    request = _read_request(folder / "run.json")
    return Run(folder, Path(request["photos"]), Recipe.from_dict(request["recipe"]), None)


def run_stages(run: Run, stages: Sequence[Stage], announce: Callable[[str], None]) -> None:
    """Works through the stages that the recipe wants, in order, leaving out those that are finished.

    Raises:
        OutputFolderError: The folder can't be written, another process works in it, or it holds another run.
    """
    stages = [stage for stage in stages if stage.wanted(run.recipe)]
    with locked(run.folder):
        _require_asked(run)  # another process may have opened the folder at the same moment
        for leftover in run.folder.glob(PARTIAL):
            leftover.unlink()
        for number, stage in enumerate(stages, start=1):
            prefix = f"[{number}/{len(stages)}] {stage.title}"
            if run.stage(stage.name).exists():
                announce(f"{prefix}: done before")
            else:
                announce(prefix)
                _run_stage(run, stage)
            shutil.rmtree(_checkpoints(run, stage), ignore_errors=True)


def _run_stage(run: Run, stage: Stage) -> None:
    finished = run.stage(stage.name)
    partial = finished.with_name(f".{stage.name}.partial")
    started, start = datetime.now(timezone.utc).isoformat(timespec="milliseconds"), perf_counter()
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with checkpoints_in(_checkpoints(run, stage)):
            stage.work(run, partial)
        seconds = round(perf_counter() - start, 2)
        write_json(partial / "stage.json", {"started": started, "seconds": seconds})
        put_in_place(partial, finished)
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if not isinstance(error, OSError) or error.errno is None:  # one of our own says what is wrong
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise OutputFolderError(
            f"Expected to write into {run.folder} in stage {stage.name}, got: {error.strerror}{where}. "
            "Make room or choose another folder; what was finished is kept."
        ) from error


def _checkpoints(run: Run, stage: Stage) -> Path:
    """Where the trainings of a stage leave what they have reached, until it is finished."""
    return run.folder / "stages" / f".{stage.name}.checkpoints"


def stage_records(run: Run) -> dict[str, dict[str, Any]]:
    """By finished stage, in the order they ran: ``started`` (ISO 8601, UTC) and ``seconds``."""
    files = (run.folder / "stages").glob("*/stage.json")
    records = {file.parent.name: read_json(file) for file in files}
    return dict(sorted(records.items(), key=lambda item: item[1]["started"]))


def _require_asked(run: Run) -> None:
    """Raises an OutputFolderError where the run in the folder was asked to do something else.

    A setting that is newer than that run had its default then.
    """
    request = _read_request(run.folder / "run.json")
    try:
        begun = Recipe.from_dict(request["recipe"]).without_tracking()
        same = request["photos"] == str(absolute(run.photos)) and begun == run.recipe.without_tracking()
    except (KeyError, TypeError, ValueError):  # of settings that there are no more, among others
        same = False
    if not same:
        raise OutputFolderError(
            f"Expected {run.folder} to be new or to hold this very run, but it holds one with other photos or "
            "settings: choose another folder with --to, or delete that one."
        )


def _read_request(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise OutputFolderError(
            f"Expected {path} to tell what the run in that folder was asked to do, but it can't be read ({error}). "
            "Choose another folder with --to, or delete that one."
        ) from error
