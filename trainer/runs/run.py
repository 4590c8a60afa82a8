"""A training run: one folder with a subfolder per stage, renamed into place once the stage is finished.

A run that was killed resumes where it stopped: finished stages are kept, the interrupted one starts again, and its
training resumes from the last finished epoch.
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
    """A run's folder and its settings.

    Attributes:
        folder: Folder of all results.
        photos: Folder of the data set.
        recipe: All settings.
        weights: File of the pretrained weights; None to train from scratch.
        distribution: GPUs or machines that share the fine-tuning; None for this process alone.
    """

    folder: Path
    photos: Path
    recipe: Recipe
    weights: Path | None
    distribution: Distribution | None = None

    def stage(self, name: str) -> Path:
        """Return the folder of a stage, which exists once the stage is finished."""
        return self.folder / "stages" / name


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: Name of its folder.
        title: Title in the progress output.
        work: Function that writes the results into a given folder.
        wanted: Function that says whether a recipe includes the stage.
    """

    name: str
    title: str
    work: Callable[[Run, Path], None]
    wanted: Callable[[Recipe], bool] = lambda recipe: True


def open_run(folder: Path, photos: Path, recipe: Recipe, weights: Path | None) -> Run:
    """Start a run in a folder, or continue the one that it holds.

    Args:
        folder: Folder of the run: new, empty, or holding the same run.
        photos: Folder of the data set.
        recipe: All settings.
        weights: File of the pretrained weights; None to train from scratch.

    Raises:
        OutputFolderError: The folder cannot be written, or holds other files or a run with other settings.
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
        raise OutputFolderError(f"{folder} already exists and is not an empty folder. Choose another output folder.")
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
            f"Cannot write to {folder}: {error.strerror or error}. Choose another output folder."
        ) from error
    return run


def load_run(folder: Path) -> Run:
    """Open an existing run to read its results.

    Raises:
        OutputFolderError: The folder holds no run.
    """
    request = _read_request(folder / "run.json")
    return Run(folder, Path(request["photos"]), Recipe.from_dict(request["recipe"]), None)


def run_stages(run: Run, stages: Sequence[Stage], announce: Callable[[str], None]) -> None:
    """Run the stages that the recipe includes, in order, skipping finished ones.

    Raises:
        OutputFolderError: The folder cannot be written, is in use by another process, or holds another run.
    """
    stages = [stage for stage in stages if stage.wanted(run.recipe)]
    with locked(run.folder):
        _require_asked(run)  # another process may have started a run there meanwhile
        for leftover in run.folder.glob(PARTIAL):
            leftover.unlink()
        for number, stage in enumerate(stages, start=1):
            prefix = f"[{number}/{len(stages)}] {stage.title}"
            if run.stage(stage.name).exists():
                announce(f"{prefix}: already done")
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
        if not isinstance(error, OSError) or error.errno is None:  # our own errors need no explanation
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise OutputFolderError(
            f"Cannot write to {run.folder} in stage {stage.name}: {error.strerror}{where}. "
            "Free some space and run the command again; finished stages are kept."
        ) from error


def _checkpoints(run: Run, stage: Stage) -> Path:
    """Return the folder of a stage's training checkpoints, which is removed when the stage is finished."""
    return run.folder / "stages" / f".{stage.name}.checkpoints"


def stage_records(run: Run) -> dict[str, dict[str, Any]]:
    """Return ``started`` (ISO 8601, UTC) and ``seconds`` of each finished stage, in the order they ran."""
    files = (run.folder / "stages").glob("*/stage.json")
    records = {file.parent.name: read_json(file) for file in files}
    return dict(sorted(records.items(), key=lambda item: item[1]["started"]))


def _require_asked(run: Run) -> None:
    """Check that the folder holds a run of the same photos and settings.

    Settings that older versions did not have count as their defaults.
    """
    request = _read_request(run.folder / "run.json")
    try:
        begun = Recipe.from_dict(request["recipe"]).without_tracking()
        same = request["photos"] == str(absolute(run.photos)) and begun == run.recipe.without_tracking()
    except (KeyError, TypeError, ValueError):  # such as settings that no longer exist
        same = False
    if not same:
        raise OutputFolderError(
            f"{run.folder} already holds a run with different photos or settings. Choose another output folder, or "
            "delete that run."
        )


def _read_request(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        raise OutputFolderError(
            f"Cannot read {path}, which describes the run in that folder ({error}). Choose another output folder, or "
            "delete this one."
        ) from error
