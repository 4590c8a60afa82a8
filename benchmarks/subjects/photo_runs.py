"""Training runs on the shared photos, for measurements of compression. They are kept and can be resumed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.inputs import ROOT, shared

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.types import RunResult, Variant

WORK = ROOT / "runs/compression"
TEACHER, STUDENT = "mobilenet_v2_1.0", "mobilenet_v2_0.35"
_STUDENT_WEIGHTS = "keras/models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def use_shared_weights() -> None:
    """Point the trainer to the shared ImageNet weights."""
    os.environ["KERAS_HOME"] = str(shared("keras"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def photo_run(name: str, data: str, recipe: Recipe, quick: bool, *, like: Path | None = None) -> RunResult:
    """Train on one of the shared datasets, unless that run is already finished.

    Args:
        name: Name of the run.
        data: Name of the dataset.
        recipe: Settings of the run.
        quick: If True, train each stage for one epoch.
        like: Finished run with the same settings up to pruning, whose stages are reused.
    """
    from trainer.workflows.train.pipeline import train

    use_shared_weights()
    short = {"epochs": 1}
    stages = ("head", "finetune", "distill", "prune", "sparsify", "qat")
    recipe = recipe.updated(dict.fromkeys(stages, short)) if quick else recipe
    photos, here = shared(f"data/{data}"), folder(name, data, quick)
    if like is not None and not here.exists():
        _begin_like(like, here, photos, recipe)
    return train(photos, here, recipe)


def _begin_like(like: Path, here: Path, photos: Path, recipe: Recipe) -> None:
    from trainer.runs.run import open_run

    open_run(here, photos, recipe, None)
    copied = here / ".stages.partial"
    for stage in ("data", "head", "finetune", "distill"):
        if (like / "stages" / stage).exists():
            shutil.copytree(like / "stages" / stage, copied / stage)
    copied.rename(here / "stages")


def folder(name: str, data: str, quick: bool) -> Path:
    """Return the folder of a run."""
    return WORK / ("quick" if quick else "full") / f"{name}-{data}"


def teacher_run(data: str, quick: bool) -> Path:
    """Train the teacher and FP32 baseline, MobileNetV2 1.0 at 224 pixels, and return the run's folder."""
    photo_run("teacher", data, teacher_recipe(), quick)
    return folder("teacher", data, quick)


def edge_run(data: str, quick: bool) -> RunResult:
    """Train the edge model: distilled, channel-pruned, INT8."""
    pruning = ("prune.keep_macs=0.75", "prune.epochs=10")
    return photo_run("edge", data, student_recipe(teacher_run(data, quick), *pruning), quick)


def teacher_recipe() -> Recipe:
    """Return the teacher's recipe: the default one with a larger network, fewer epochs and smaller pictures."""
    shorter = ("finetune.epochs=8", "finetune.train_size=0.6")
    return _recipe(f"model.backbone={TEACHER}", *shorter, "quantize.samples=256")


def student_recipe(teacher: Path, *settings: str) -> Recipe:
    """Return the student's recipe: MobileNetV2 0.35 at 160 pixels, with the network of a finished run as teacher."""
    # There are no shared weights for 160 pixels; those for 224 fit.
    paths = {"model": {"weights": str(shared(_STUDENT_WEIGHTS))}, "distill": {"teacher": str(teacher)}}
    network = (f"model.backbone={STUDENT}", "model.input_size=160", "quantize.samples=256")
    common = (*network, "finetune.epochs=4", "distill.epochs=20")
    return _recipe(*common, *settings).updated(paths)


def variant_of(result: RunResult, name: str) -> Variant:
    """Return one of a run's model files."""
    return next(variant for variant in result.variants if variant.name == name)


def _recipe(*settings: str) -> Recipe:
    from trainer.config.recipe_file import read_recipe

    return read_recipe("default", list(settings))
