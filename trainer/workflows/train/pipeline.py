"""A run from start to end, from photos to two model files and a report: the stages in `STAGES`, in order."""

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
    """Train an image classifier, quantize it to INT8, measure both models and write a report.

    The run's folder receives the two models, ``report.html``, ``compression.html`` and ``model_card.md``. If it holds
    the same run, unfinished, training resumes with the first stage that is missing.

        result = train("photos", "runs/first").require_kept()

    Args:
        photos: Folder ``<class>/*`` or ``{train,val,test}/<class>/*``, list (``.csv``, ``.tsv``, ``.jsonl``) or export.
        to: Folder of the run: new, empty, or holding the same run.
        recipe: All settings; None for the default recipe.
        distribute: Fine-tune on all GPUs (``"gpus"``) or on the machines of ``TF_CONFIG`` (``"workers"``), where the
            chief calls this function and the other machines call `train_along`. None for this process alone.
        announce: Function that receives progress messages; None to print them to stderr.

    Returns:
        The models, reports and measurements. Check the accuracy gate with `RunResult.require_kept`: a failed gate
        raises no error here.

    Raises:
        TrainerError: Photos, settings, weights or folder cannot be used. Checked before anything is written.
    """
    check_packages()
    from trainer.training.networks.weights import resolve_weights

    recipe, photos, announce = recipe or Recipe(), absolute(photos), announce or _to_stderr
    dataset = read_photos(photos, recipe)
    recipe = recipe.for_photos(len(dataset.split("train")), multi_label=dataset.multi_label)
    machines = _distribution(distribute, recipe, announce) if distribute else None
    if machines and machines.worker > 0:
        raise ClusterError(f"This machine is worker {machines.worker} of TF_CONFIG, not the chief. Call train_along.")
    backbone = get_backbone(recipe.model.backbone)
    check_plan(recipe, dataset.labels, multi_label=dataset.multi_label)
    check_tracking(recipe.track)
    weights = None if _extends(recipe) else resolve_weights(backbone, recipe.model.weights, input_size(recipe))
    run = replace(open_run(Path(to), photos, recipe, weights), distribution=machines)
    if run.stage("data").exists() and read_dataset(run) != dataset:
        raise OutputFolderError(
            f"The photos of the run in {run.folder} have changed since its start. Start a new run in another folder."
        )
    if backbone.int8_warning:
        announce(f"Warning: {backbone.name}: {backbone.int8_warning}.")
    few = few_photos(Counter(dataset.labels[number] for photo in dataset.photos for number in photo.classes))
    if few and not _extends(recipe):
        advice = "" if recipe.gate.spare else f" Recipe {RECIPE!r} is made for small data sets."
        announce(f"Warning: {few}: the measured accuracy will be imprecise.{advice}")
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
    """Add classes, or photos of known classes, to the network of a finished run.

    Only the classifier head is retrained: on the features that the run stored of its photos, and on the new photos.
    The original photos are not needed; stored copies of some of them serve for calibration, the accuracy gate and
    the measurements.

    Args:
        model: Folder of the run, or a model file in it.
        photos: Folder of the new photos, of new or known classes; a single class is enough. Split as for `train`.
        to: Folder of the new run: new, empty, or holding the same extension. It can be extended again.
        announce: Function that receives progress messages; None to print them to stderr.

    Returns:
        The same as `train`; ``extension`` shows the effect on the known classes.

    Raises:
        TrainerError: The run cannot be extended, or the photos cannot be used.
    """
    check_packages()
    announce = announce or _to_stderr
    of = open_extended(Path(model), announce)
    return train(photos, to, extension_recipe(of), announce=announce)


def resume(run: str | Path, *, announce: Callable[[str], None] | None = None) -> RunResult:
    """Resume a run that was interrupted, with the photos and settings that it was started with.

    On a CPU, the models are bit-identical to those of an uninterrupted run, except for the date of quantization in
    their manifest; ``SOURCE_DATE_EPOCH`` fixes it.

    Args:
        run: Folder of the run.
        announce: Function that receives progress messages; None to print them to stderr.

    Returns:
        The same as `train`.

    Raises:
        TrainerError: The folder holds no run or is in use by another process, or the photos have changed.
    """
    folder = Path(run)
    if not (folder / "run.json").exists():
        raise OutputFolderError(
            f"{folder} is not the folder of a run: it contains no run.json. Start a run with edge-trainer train."
        )
    stopped = load_run(folder)
    return train(stopped.photos, folder, stopped.recipe, announce=announce)


def train_along(
    photos: str | Path, recipe: Recipe | None = None, *, announce: Callable[[str], None] | None = None
) -> None:
    """Take part in the fine-tuning of the chief in ``TF_CONFIG``, as a worker. Writes nothing of the run.

    Args:
        photos: Same data set as the chief's.
        recipe: Same settings as the chief's; None for the default recipe.
        announce: Function that receives progress messages; None to print them to stderr.

    Raises:
        TrainerError: Photos or settings cannot be used or differ from the chief's, or a machine was lost.
    """
    check_packages()
    recipe, photos, announce = recipe or Recipe(), absolute(photos), announce or _to_stderr
    dataset = read_photos(photos, recipe)
    recipe = recipe.for_photos(len(dataset.split("train")), multi_label=dataset.multi_label)
    machines = _distribution("workers", recipe, announce)
    with TemporaryDirectory(prefix="edge-trainer-") as folder:
        run = Run(Path(folder), photos, recipe, None, machines)
        network_stages.train_along(run, dataset, announce)
    announce("Distributed training finished; the chief continues alone.")


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
    Stage("distill", "Distilling the teacher's predictions", network_stages.distill, lambda r: bool(r.distill.teacher)),
    Stage("prune", "Pruning channels", network_stages.prune, lambda r: r.prune.keep_macs < 1),
    Stage("sparsify", "Setting small weights to zero", network_stages.sparsify, lambda r: r.sparsify.sparsity > 0),
    Stage("cluster", "Clustering weights", network_stages.cluster, lambda r: r.cluster.clusters > 0),
    Stage("keep", "Storing the photos' features", keep, lambda r: r.keep.pictures > 0),
    Stage("extend", "Training a head for all classes on the stored features", network_stages.extend, _extends),
    Stage("quantize", "Converting to FP32 and full INT8", file_stages.quantize),
    Stage("evaluate", "Measuring the models through the runtime", file_stages.evaluate),
    Stage("report", "Writing the models and the report", file_stages.report),
)
