"""Add classes, or photos of known classes, to a finished run, from its stored features and the new photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config import (
    ClusterConfig,
    DistillConfig,
    ExtendConfig,
    PruneConfig,
    QatConfig,
    Recipe,
    RobustnessConfig,
    SparsifyConfig,
)
from trainer.errors import DatasetError, OutputFolderError
from trainer.runs.artifacts import chosen_step
from trainer.runs.run import Run, Stage, load_run, run_stages
from trainer.types import Dataset
from trainer.workflows.train.extend.kept_features import keep, read_kept

if TYPE_CHECKING:
    from collections.abc import Callable

_SAMPLES = 128  # calibration pictures; searching for the number would take as long as everything else


def open_extended(model: Path, announce: Callable[[str], None]) -> Run:
    """Open the run to extend. A run of an older version first stores the features of its photos.

    Args:
        model: Folder of the run, or a model file in it.
        announce: Function that receives progress messages.

    Raises:
        OutputFolderError: There is no finished run, or it stored no features and its photos are gone.
    """
    folder = model.parent if model.is_file() else model
    if not (folder / "run.json").exists():
        raise OutputFolderError(
            f"{model} is neither the folder of a run nor a model file in one. A model alone lacks the image features "
            "that an extension learns from. Give the folder of the run that made the model."
        )
    run = load_run(folder.resolve())
    if not run.stage("report").exists():
        raise OutputFolderError(f"The run in {folder} is not finished. Finish it with: edge-trainer resume {folder}")
    if not run.stage("keep").exists() and run.recipe.keep.pictures:
        try:
            run_stages(run, (Stage("keep", "Storing the photos' features", keep),), announce)
        except DatasetError as error:
            raise OutputFolderError(
                f"Cannot extend the run in {folder}: it stored no image features, and its photos are not available "
                f"({error}). Restore the photos, or train a new run."
            ) from error
    read_kept(run)
    return run


def extension_recipe(of: Run) -> Recipe:
    """Return the settings of an extension: those of the run, without what needs the old photos or takes long."""
    return replace(
        of.recipe,
        extend=ExtendConfig(str(of.folder)),
        head=replace(of.recipe.head, solver="lbfgs"),  # new classes have fewer photos than known ones
        distill=DistillConfig(),
        prune=PruneConfig(),
        sparsify=SparsifyConfig(),
        cluster=ClusterConfig(),
        qat=QatConfig(),
        quantize=replace(
            of.recipe.quantize,
            samples=of.recipe.quantize.samples or _SAMPLES,
            # A new head leaves the layers unchanged for which the other run found the better of the two.
            ways=("plain",) if chosen_step(of).name == "plain" else ("equalized",),
        ),
        gate=replace(of.recipe.gate, repair=False),
        robustness=RobustnessConfig(photos=0),
    )


def read_photos(photos: Path, recipe: Recipe) -> Dataset:
    """Return the photos of a run. Those of an extension follow the copies that the extended run stored.

    New classes follow the known ones, whose indices stay. Photos whose features are already known are left out.

    Raises:
        DatasetError: The photos cannot be used, or none of them is new.
    """
    from trainer.data.dataset import scan

    if not recipe.extend.run:
        return scan(photos, data=recipe.data, seed=recipe.seed)
    kept = read_kept(load_run(Path(recipe.extend.run)))
    found = scan(photos, data=recipe.data, seed=recipe.seed, least_classes=1)
    if found.multi_label:
        raise DatasetError(
            f"Photos in {photos} have several labels, but the run in {recipe.extend.run} was trained with one label "
            "per photo. Give each photo one class."
        )
    labels = (*kept.labels, *(label for label in found.labels if label not in kept.labels))
    known = {photo.sha256 for photo in kept.photos}
    new = tuple(
        replace(photo, path=str(found.root.resolve() / photo.path), label=labels.index(found.labels[photo.label]))
        for photo in found.photos
        if photo.sha256 not in known
    )
    if not new:
        raise DatasetError(
            f"The run in {recipe.extend.run} was already trained with all {len(found.photos)} photos in {photos}. "
            "Add new photos."
        )
    learnable = {photo.label for photo in new if photo.split == "train"}
    for number, label in enumerate(labels):
        if label not in kept.labels and number not in learnable:
            raise DatasetError(
                f"Class {label} has no new training photos in {photos}: the run in {recipe.extend.run} already knows "
                "them by another class name. Add photos, or remove the class."
            )
    return Dataset(kept.folder, labels, (*kept.copies, *new), found.unreadable, found.given_split)
