"""The whole journey of a run, from photos to two model files and a report: `STAGES`, in order."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import file_stages, network_stages
from trainer.artifacts import (
    MODEL_FILES,
    input_size,
    read_dataset,
    read_evaluations,
    read_rungs,
    read_speed,
    read_variants,
    read_verdict,
)
from trainer.config import Recipe
from trainer.environment import check_packages
from trainer.errors import OutputFolderError
from trainer.evaluation.gate import require_kept
from trainer.plan import check_plan
from trainer.reports.compression_page import PAGE_NAME
from trainer.run import Stage, open_run, run_stages
from trainer.tracking.track import check_tracking, followed
from trainer.training.backbones import get_backbone
from trainer.training.teachers import trains_teacher
from trainer.types import Evaluation, Rung, Variant, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes:
        fp32: The baseline model file.
        int8: The quantized model file.
        report: ``report.html``.
        compression: ``compression.html``: what each step brought, and the way to INT8.
        evaluations: By kind (``"fp32"``, ``"int8"``), then by split (``"val"``, ``"test"``).
        verdict: The gate's decision.
        speed: The benchmark's report, as `edge_runtime.benchmark.BenchmarkReport.to_dict` gives it.
        rungs: The ways to quantize that were tried.
        variants: Every model file of the run: what each step brought.
    """

    fp32: Path
    int8: Path
    report: Path
    compression: Path
    evaluations: dict[str, dict[str, Evaluation]]
    verdict: Verdict
    speed: dict[str, Any]
    rungs: tuple[Rung, ...]
    variants: tuple[Variant, ...]

    def require_kept(self) -> RunResult:
        """Returns itself, or raises a GateError where INT8 lost more than the recipe allows."""
        require_kept(self.verdict)
        return self


def train(
    photos: str | Path, to: str | Path, recipe: Recipe | None = None, *, announce: Callable[[str], None] | None = None
) -> RunResult:
    """Trains, quantizes, judges and writes down; goes on where an earlier run in the same folder stopped.

    Args:
        photos: The data set's folder: ``<class>/*`` or ``{train,val,test}/<class>/*``.
        to: The run's folder, new or of this very run.
        recipe: The settings.
        announce: Called with a line at the start of each stage; default: printed on stderr.

    Returns:
        What was made, and the gate's verdict, which the caller is to heed (`RunResult.require_kept`).

    Raises:
        TrainerError: Photos, settings, weights or folder can't be used; said before anything is written.
    """
    check_packages()
    from trainer.data.dataset import scan
    from trainer.training.weights import resolve_weights

    recipe, photos = recipe or Recipe(), Path(photos).resolve()
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    backbone = get_backbone(recipe.model.backbone)
    check_plan(recipe, dataset.labels)
    check_tracking(recipe.track)
    weights = resolve_weights(backbone, recipe.model.weights, input_size(recipe))
    run = open_run(Path(to), photos, recipe, weights)
    if run.stage("data").exists() and read_dataset(run) != dataset:
        raise OutputFolderError(
            f"Expected the photos that the run in {run.folder} was started with, but they have changed since. "
            "Start a new run with another --to."
        )
    announce = announce or (lambda line: print(line, file=sys.stderr))
    if backbone.int8_warning:
        announce(f"Warning: {backbone.name}: {backbone.int8_warning}.")
    with followed(run, STAGES, announce) as stages:
        run_stages(run, stages, announce)
    return RunResult(
        fp32=run.folder / MODEL_FILES["fp32"],
        int8=run.folder / MODEL_FILES["int8"],
        report=run.folder / "report.html",
        compression=run.folder / PAGE_NAME,
        evaluations=read_evaluations(run),
        verdict=read_verdict(run),
        speed=read_speed(run),
        rungs=read_rungs(run),
        variants=read_variants(run),
    )


STAGES = (
    Stage("data", "Reading and resizing the photos", network_stages.data),
    Stage("teacher", "Training the teacher", network_stages.teacher, trains_teacher),
    Stage("head", "Training the classifier on the frozen backbone's features", network_stages.head),
    Stage("finetune", "Training the network", network_stages.finetune),
    Stage("distill", "Distilling the teacher's answers", network_stages.distill, lambda r: bool(r.distill.teacher)),
    Stage("prune", "Pruning channels", network_stages.prune, lambda r: r.prune.keep_macs < 1),
    Stage("sparsify", "Setting small weights to zero", network_stages.sparsify, lambda r: r.sparsify.sparsity > 0),
    Stage("cluster", "Clustering weights", network_stages.cluster, lambda r: r.cluster.clusters > 0),
    Stage("quantize", "Converting to FP32 and full INT8", file_stages.quantize),
    Stage("evaluate", "Measuring the models through the runtime", file_stages.evaluate),
    Stage("report", "Writing the models and the report", file_stages.report),
)
