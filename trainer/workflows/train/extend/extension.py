"""Adds classes, or more photos of known ones, to a finished run: what it has kept, and the new photos beside it."""

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

_SAMPLES = 128  # calibration pictures: enough, where looking for the number takes as long as all the rest


def open_extended(model: Path, announce: Callable[[str], None]) -> Run:
    """The run that is to be extended. One that is older than what runs keep catches up on that, from its photos.

    Args:
        model: The run's folder, or a file in it.
        announce: Called with a line where there is something to do.

    Raises:
        OutputFolderError: There is no finished run, or it has kept nothing and its photos are gone.
    """
    folder = model.parent if model.is_file() else model
    if not (folder / "run.json").exists():
        raise OutputFolderError(
            f"Expected the folder of a run or a model file in it, got {model}: the model alone doesn't hold the "
            "features that an extension learns from. Name the run that it was made in."
        )
    run = load_run(folder.resolve())
    if not run.stage("report").exists():
        raise OutputFolderError(
            f"Expected the run in {folder} to be finished. Finish it with the command that started it."
        )
    if not run.stage("keep").exists() and run.recipe.keep.pictures:
        try:
            run_stages(run, (Stage("keep", "Keeping the photos' features", keep),), announce)
        except DatasetError as error:
            raise OutputFolderError(
                f"Expected the run in {folder} to have kept its photos' features or its photos to be there still, "
                f"got neither ({error}). Train it anew."
            ) from error
    read_kept(run)
    return run


def extension_recipe(of: Run) -> Recipe:
    """The settings of the run that extends another one: that one's, without what needs the old photos or takes long."""
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
            # A new head changes none of the layers for which the other run has found the better of the two.
            ways=("plain",) if chosen_step(of).name == "plain" else ("equalized",),
        ),
        gate=replace(of.recipe.gate, repair=False),
        robustness=RobustnessConfig(photos=0),
    )


def read_photos(photos: Path, recipe: Recipe) -> Dataset:
    """The photos of a run: those in its folder, behind the copies that the run which it extends has kept.

    The new classes stand behind the known ones, whose numbers stay. Photos whose features are known are left out.

    Raises:
        DatasetError: The photos can't be trained on, or are all known already.
    """
    from trainer.data.dataset import scan

    if not recipe.extend.run:
        return scan(photos, data=recipe.data, seed=recipe.seed)
    kept = read_kept(load_run(Path(recipe.extend.run)))
    found = scan(photos, data=recipe.data, seed=recipe.seed, least_classes=1)
    if found.multi_label:
        raise DatasetError(
            f"Expected photos with one label each, as those that the run in {recipe.extend.run} has learned from, got "
            f"several labels a photo in {photos}. Give each photo its one class."
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
            f"Expected photos in {photos} that the run in {recipe.extend.run} hasn't learned from, but it knows all "
            f"{len(found.photos)}. Add new ones."
        )
    learnable = {photo.label for photo in new if photo.split == "train"}
    for number, label in enumerate(labels):
        if label not in kept.labels and number not in learnable:
            raise DatasetError(
                f"Expected photos of class {label} in {photos} to train on that the run in {recipe.extend.run} doesn't "
                "know under another name, found none. Add some, or take the class out."
            )
    return Dataset(kept.folder, labels, (*kept.copies, *new), found.unreadable, found.given_split)
