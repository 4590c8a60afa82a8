"""The whole journey of a run, from photos to two model files and a report: `STAGES`, in order."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.artifacts import (
    MEASURED_SPLITS,
    MODEL_FILES,
    input_contract,
    input_size,
    read_dataset,
    read_evaluations,
    read_model,
    read_pixels,
    read_speed,
    read_verdict,
    was_pretrained,
    write_dataset,
    write_evaluation,
    write_trained,
)
from trainer.backbones import get_backbone
from trainer.config import Recipe
from trainer.environment import check_packages, package_versions
from trainer.errors import OutputFolderError
from trainer.files import write_bytes, write_json
from trainer.gate import require_kept
from trainer.quiet import load_tensorflow
from trainer.run import Run, Stage, open_run, run_stages
from trainer.types import SPLITS, Dataset, Epoch, Evaluation, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

_BENCHMARK_S = 5.0


@dataclass(frozen=True)
class RunResult:
    """What a run made.

    Attributes:
        fp32: The baseline model file.
        int8: The quantized model file.
        report: ``report.html``.
        evaluations: By kind (``"fp32"``, ``"int8"``), then by split (``"val"``, ``"test"``).
        verdict: The gate's decision.
        speed: The benchmark's report, as `edge_runtime.benchmark.BenchmarkReport.to_dict` gives it.
    """

    fp32: Path
    int8: Path
    report: Path
    evaluations: dict[str, dict[str, Evaluation]]
    verdict: Verdict
    speed: dict[str, Any]

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
    from trainer.dataset import scan
    from trainer.weights import resolve_weights

    recipe, photos = recipe or Recipe(), Path(photos).resolve()
    dataset = scan(photos, data=recipe.data, seed=recipe.seed)
    backbone = get_backbone(recipe.model.backbone)
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
    run_stages(run, STAGES, announce)
    return RunResult(
        fp32=run.folder / MODEL_FILES["fp32"],
        int8=run.folder / MODEL_FILES["int8"],
        report=run.folder / "report.html",
        evaluations=read_evaluations(run),
        verdict=read_verdict(run),
        speed=read_speed(run),
    )


def _data(run: Run, folder: Path) -> None:
    from trainer.dataset import scan

    dataset = scan(run.photos, data=run.recipe.data, seed=run.recipe.seed)
    for split in SPLITS:
        read_pixels(run, dataset, split)
    write_dataset(folder, dataset)


def _head(run: Run, folder: Path) -> None:
    """The classifier alone, on the frozen backbone's features; from scratch there is nothing to freeze."""
    from trainer.backbones import build_model
    from trainer.transfer import train_head

    load_tensorflow()
    recipe, backbone, dataset = run.recipe, get_backbone(run.recipe.model.backbone), read_dataset(run)
    model = build_model(
        backbone,
        num_classes=len(dataset.labels),
        input_size=input_size(recipe),
        dropout=recipe.model.dropout,
        weights_file=run.weights,
        seed=recipe.seed,
    )
    history: list[Epoch] = []
    if run.weights is not None:
        pixels, val = read_pixels(run, dataset, "train"), read_pixels(run, dataset, "val")
        history = train_head(model, pixels, val, recipe.head, backbone=backbone, seed=recipe.seed)
    write_trained(folder, model, history, pretrained=run.weights is not None)


def _finetune(run: Run, folder: Path) -> None:
    from trainer.finetune import finetune

    recipe, dataset, pretrained = run.recipe, read_dataset(run), was_pretrained(run)
    model = read_model(run, "head")
    history: list[Epoch] = []
    if recipe.finetune.epochs:
        history = finetune(
            model,
            read_pixels(run, dataset, "train"),
            read_pixels(run, dataset, "val"),
            recipe.finetune,
            recipe.augment,
            contract=input_contract(recipe),
            seed=recipe.seed,
            from_scratch=not pretrained,
        )
    write_trained(folder, model, history, pretrained=pretrained)


def _quantize(run: Run, folder: Path) -> None:
    """The baseline and the INT8 model, converted and made self-describing."""
    from trainer.calibration import representative_set
    from trainer.export import export_model
    from trainer.preparation import prepare_for_int8
    from trainer.quantize import convert_fp32, convert_int8

    recipe, contract, dataset = run.recipe, input_contract(run.recipe), read_dataset(run)
    model = read_model(run, "finetune")
    images, calibration = representative_set(
        read_pixels(run, dataset, "train"),
        samples=recipe.quantize.samples,
        seed=recipe.seed,
        num_classes=len(dataset.labels),
    )
    prepared = prepare_for_int8(model, images, contract=contract)
    contents = {
        "fp32": (convert_fp32(model), None),
        "int8": (convert_int8(prepared, images, contract=contract, io=recipe.quantize.io), calibration),
    }
    for kind, (content, calibrated_with) in contents.items():
        export_model(
            folder / MODEL_FILES[kind],
            content,
            labels=dataset.labels,
            contract=contract,
            activation="softmax",
            provenance=_provenance(run, dataset),
            calibration=calibrated_with,
            check=True,
        )


def _evaluate(run: Run, folder: Path) -> None:
    """Both files through the runtime: the validation split decides, the test split is measured this once."""
    from edge_runtime.benchmark import benchmark
    from trainer.evaluate import evaluate_pixels
    from trainer.gate import judge

    files = {kind: run.stage("quantize") / name for kind, name in MODEL_FILES.items()}
    dataset = read_dataset(run)
    evaluations = {}
    for split in MEASURED_SPLITS:
        pixels = read_pixels(run, dataset, split)
        for kind, path in files.items():
            evaluations[kind, split] = evaluate_pixels(path, pixels, split)
            write_evaluation(folder, kind, evaluations[kind, split])
    verdict = judge(evaluations["fp32", "val"], evaluations["int8", "val"], run.recipe.gate)
    write_json(folder / "verdict.json", verdict.to_dict())
    speed = benchmark([files["int8"]], baseline=files["fp32"], seconds=_BENCHMARK_S)
    write_json(folder / "speed.json", speed.to_dict())


def _report(run: Run, folder: Path) -> None:
    """The files that ship, which now carry what was measured, and the report."""
    from trainer.report import write_report
    from trainer.run_report import report_content
    from trainer.stamp import stamp

    for name in MODEL_FILES.values():
        write_bytes(folder / name, (run.stage("quantize") / name).read_bytes())
        stamp(run, folder / name)
        write_bytes(run.folder / name, (folder / name).read_bytes())
    write_report(run.folder, report_content(run, STAGES[:-1], folder))


STAGES = (
    Stage("data", "Reading and resizing the photos", _data),
    Stage("head", "Training the classifier on the frozen backbone's features", _head),
    Stage("finetune", "Training the network", _finetune),
    Stage("quantize", "Converting to FP32 and full INT8", _quantize),
    Stage("evaluate", "Measuring both through the runtime", _evaluate),
    Stage("report", "Writing the models and the report", _report),
)


def _provenance(run: Run, dataset: Dataset) -> dict[str, Any]:
    """Where a model came from; nothing of the machine that made it."""
    photos = "".join(f"{photo.sha256} {photo.split}\n" for photo in dataset.photos)
    return {
        "backbone": run.recipe.model.backbone,
        "data_sha256": hashlib.sha256(photos.encode()).hexdigest(),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "recipe": run.recipe.to_dict(),
        "versions": package_versions(),
    }
