"""The whole journey of a run, from photos to two model files and a report: `STAGES`, in order."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from trainer.config import Recipe
from trainer.data.few_photos import RECIPE, few_photos
from trainer.environment import check_packages
from trainer.errors import ClusterError, OutputFolderError
from trainer.reports.compression_page import PAGE_NAME
from trainer.reports.few_notes import few_notes
from trainer.reports.model_card import CARD_NAME
from trainer.runs.artifacts import (
    MODEL_FILES,
    read_accuracy_by_photos,
    read_dataset,
    read_evaluations,
    read_extension,
    read_ladder,
    read_speed,
    read_undone,
    read_variants,
    read_verdict,
)
from trainer.runs.run import Run, Stage, load_run, open_run, run_stages
from trainer.storage import absolute
from trainer.training.networks.backbones import get_backbone
from trainer.training.networks.contract import input_size
from trainer.types import RunResult
from trainer.workflows.train.extend.extension import extension_recipe, open_extended, read_photos
from trainer.workflows.train.extend.kept_features import keep
from trainer.workflows.train.followed_run import check_tracking, followed
from trainer.workflows.train.preflight import check_plan
from trainer.workflows.train.stages import models as file_stages
from trainer.workflows.train.stages import networks as network_stages
from trainer.workflows.train.stages.teachers import trains_teacher

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainer.training.distribution.strategy import Distribution, Kind


def train(
    photos: str | Path,
    to: str | Path,
    recipe: Recipe | None = None,
    *,
    distribute: Kind | None = None,
    announce: Callable[[str], None] | None = None,
) -> RunResult:
    """Trains, quantizes, judges and writes down; goes on where an earlier run in the same folder stopped.

    Args:
        photos: The data set's folder: ``<class>/*`` or ``{train,val,test}/<class>/*``.
        to: The run's folder, new or of this very run.
        recipe: The settings.
        distribute: Fine-tuning takes all GPUs (``"gpus"``) or the machines of ``TF_CONFIG`` (``"workers"``): on the
            chief; the others call `train_along`.
        announce: Called with a line at the start of each stage; default: printed on stderr.

    Returns:
        What was made, and the gate's verdict, which the caller is to heed (`RunResult.require_kept`).

    Raises:
        TrainerError: Photos, settings, weights or folder can't be used; said before anything is written.
    """
    check_packages()
    from trainer.training.networks.weights import resolve_weights

    recipe, photos, announce = recipe or Recipe(), absolute(photos), announce or _to_stderr
    dataset = read_photos(photos, recipe)
    recipe = recipe.for_photos(len(dataset.split("train")), multi_label=dataset.multi_label)
    machines = _distribution(distribute, recipe, announce) if distribute else None
    if machines and machines.worker > 0:
        raise ClusterError(f"Expected the chief of TF_CONFIG, this is worker {machines.worker}: call train_along here.")
    backbone = get_backbone(recipe.model.backbone)
    check_plan(recipe, dataset.labels, multi_label=dataset.multi_label)
    check_tracking(recipe.track)
    weights = None if _extends(recipe) else resolve_weights(backbone, recipe.model.weights, input_size(recipe))
    run = replace(open_run(Path(to), photos, recipe, weights), distribution=machines)
    if run.stage("data").exists() and read_dataset(run) != dataset:
        raise OutputFolderError(
            f"Expected the photos that the run in {run.folder} was started with, but they have changed since. "
            "Start a new run with another --to."
        )
    if backbone.int8_warning:
        announce(f"Warning: {backbone.name}: {backbone.int8_warning}.")
    few = few_photos(Counter(dataset.labels[number] for photo in dataset.photos for number in photo.classes))
    if few and not _extends(recipe):
        advice = "" if recipe.gate.spare else f" --recipe {RECIPE} is made for so few."
        announce(f"Warning: {few}: the accuracy will be known roughly only.{advice}")
    with followed(run, STAGES, announce) as stages:
        run_stages(run, stages, announce)
        if machines:
            machines.dismiss()
    return RunResult(
        fp32=run.folder / MODEL_FILES["fp32"],
        int8=run.folder / MODEL_FILES["int8"],
        report=run.folder / "report.html",
        compression=run.folder / PAGE_NAME,
        card=run.folder / CARD_NAME,
        evaluations=read_evaluations(run),
        verdict=read_verdict(run),
        speed=read_speed(run),
        rungs=read_ladder(run),
        variants=read_variants(run),
        extension=read_extension(run),
        few=few_notes(read_evaluations(run)["int8"]["test"], read_accuracy_by_photos(run), read_undone(run)),
    )


def extend(
    model: str | Path, photos: str | Path, to: str | Path, *, announce: Callable[[str], None] | None = None
) -> RunResult:
    """Adds classes, or more photos of known ones, to the network of a finished run.

    The network stays as it is but for its head, which learns anew: the known classes from the features that the run has
    kept, the new ones from their photos'. The known classes' photos may be gone; copies of some of them calibrate INT8,
    decide the gate and measure.

    Args:
        model: The run's folder, or a model file in it.
        photos: Of new classes, of known ones or both; one class is enough. Split as for `train`.
        to: The new run's folder, new or of this very extension. It can be extended in turn.
        announce: Called with a line at the start of each stage; default: printed on stderr.

    Returns:
        What was made; its ``extension`` tells how the known classes fared.

    Raises:
        TrainerError: The run can't be extended, or the photos can't be used.
    """
    check_packages()
    announce = announce or _to_stderr
    of = open_extended(Path(model), announce)
    return train(photos, to, extension_recipe(of), announce=announce)


def resume(run: str | Path, *, announce: Callable[[str], None] | None = None) -> RunResult:
    """Goes on with a run that was stopped or killed, with the photos and settings that it was started with.

    On a CPU the models come out as without the interruption, bit for bit. They carry the day on which they were
    quantized; on another day it is another one, unless ``SOURCE_DATE_EPOCH`` sets it.

    Args:
        run: Its folder.
        announce: As for `train`.

    Returns:
        The same as `train`.

    Raises:
        TrainerError: There is no run in the folder, another process works in it, or its photos have changed.
    """
    folder = Path(run)
    if not (folder / "run.json").exists():
        raise OutputFolderError(
            f"Expected the folder of a run, got {folder}, which has no run.json. Start it with edge-trainer train."
        )
    stopped = load_run(folder)
    return train(stopped.photos, folder, stopped.recipe, announce=announce)


def train_along(
    photos: str | Path, recipe: Recipe | None = None, *, announce: Callable[[str], None] | None = None
) -> None:
    """Helps the chief of ``TF_CONFIG`` with its fine-tuning; nothing of the run is written here.

    Args:
        photos: The same as the chief's.
        recipe: The same settings.
        announce: Called with a line for people; default: printed on stderr.

    Raises:
        TrainerError: Photos or settings can't be used or aren't the chief's, or a machine was lost.
    """
    check_packages()
    recipe, photos, announce = recipe or Recipe(), absolute(photos), announce or _to_stderr
    dataset = read_photos(photos, recipe)
    recipe = recipe.for_photos(len(dataset.split("train")), multi_label=dataset.multi_label)
    machines = _distribution("workers", recipe, announce)
    with TemporaryDirectory(prefix="edge-trainer-") as folder:
        run = Run(Path(folder), photos, recipe, None, machines)
        network_stages.train_along(run, dataset, announce)
    announce("Trained along; the chief goes on alone.")


def _extends(recipe: Recipe) -> bool:
    return bool(recipe.extend.run)


def _trains(recipe: Recipe) -> bool:
    return not _extends(recipe)


def _distribution(kind: Kind, recipe: Recipe, announce: Callable[[str], None]) -> Distribution:
    from trainer.training.distribution.strategy import open_distribution

    machines = open_distribution(kind, announce=announce)
    machines.require_divisible(recipe.finetune.batch_size)
    return machines


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


STAGES = (
    Stage("data", "Reading and resizing the photos", network_stages.data),
    Stage("teacher", "Training the teacher", network_stages.teacher, trains_teacher),
    Stage("head", "Training the classifier on the frozen backbone's features", network_stages.head, _trains),
    Stage("finetune", "Training the network", network_stages.finetune, _trains),
    Stage("distill", "Distilling the teacher's answers", network_stages.distill, lambda r: bool(r.distill.teacher)),
    Stage("prune", "Pruning channels", network_stages.prune, lambda r: r.prune.keep_macs < 1),
    Stage("sparsify", "Setting small weights to zero", network_stages.sparsify, lambda r: r.sparsify.sparsity > 0),
    Stage("cluster", "Clustering weights", network_stages.cluster, lambda r: r.cluster.clusters > 0),
    Stage("keep", "Keeping the photos' features", keep, lambda r: r.keep.pictures > 0),
    Stage("extend", "Training a head for all classes on the features", network_stages.extend, _extends),
    Stage("quantize", "Converting to FP32 and full INT8", file_stages.quantize),
    Stage("evaluate", "Measuring the models through the runtime", file_stages.evaluate),
    Stage("report", "Writing the models and the report", file_stages.report),
)
