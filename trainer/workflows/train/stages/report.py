"""Collect the content of a run's reports from the results of its stages."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.environment import package_versions
from trainer.reports.compression_page import PAGE_NAME, CompressionContent
from trainer.reports.few_notes import few_notes
from trainer.reports.mistakes import Mistake, worst_mistakes
from trainer.reports.report_content import (
    DatasetFacts,
    FileFacts,
    ModelSpeed,
    ReportContent,
    Speed,
    StageTime,
)
from trainer.reports.summary import extension_text
from trainer.runs.artifacts import (
    MODEL_FILES,
    read_accuracy_by_photos,
    read_dataset,
    read_evaluations,
    read_extension,
    read_history,
    read_int8_costs,
    read_ladder,
    read_latest,
    read_pixels,
    read_robustness,
    read_speed,
    read_undone,
    read_variants,
    read_verdict,
    read_widths,
    was_pretrained,
)
from trainer.runs.run import stage_records
from trainer.training.networks.backbones import get_backbone
from trainer.workflows.train.stages.variants import speed_conditions

if TYPE_CHECKING:
    from trainer.runs.run import Run
    from trainer.types import Evaluation


def report_content(run: Run, models: Path) -> ReportContent:
    """Return the content of ``report.html``.

    Args:
        run: Run with all stages finished but the report.
        models: Folder of the model files that ship.
    """
    from edge_runtime import read_model_file

    dataset, evaluations = read_dataset(run), read_evaluations(run)
    manifests = {kind: read_model_file(models / name).manifest for kind, name in MODEL_FILES.items()}
    times = tuple(StageTime(name, record["seconds"], record["started"]) for name, record in stage_records(run).items())
    return ReportContent(
        title=run.photos.resolve().name,
        labels=dataset.labels,
        evaluations=evaluations,
        files={kind: _file_facts(models / name) for kind, name in MODEL_FILES.items()},
        recipe=run.recipe.without_tracking().to_dict(),
        history=read_history(run),
        verdict=read_verdict(run),
        speed=_speed(read_speed(run)),
        dataset=DatasetFacts.of(dataset),
        mistakes=_mistakes(run, evaluations),
        versions=package_versions(),
        stages=times,
        started=times[0].started if times else "",
        notes=_notes(run),
        compression_page=PAGE_NAME,
        temperature=next(manifest.temperature for manifest in manifests.values() if manifest),
        unknown={kind: manifest.unknown for kind, manifest in manifests.items() if manifest and manifest.unknown},
        robustness=read_robustness(run),
    )


def _mistakes(run: Run, evaluations: dict[str, dict[str, Evaluation]]) -> tuple[Mistake, ...]:
    pixels = read_pixels(run, read_dataset(run), "test")
    return worst_mistakes(pixels, evaluations["int8"]["test"], evaluations["fp32"]["test"])


def compression_content(run: Run) -> CompressionContent:
    """Return the content of ``compression.html``.

    Args:
        run: Run with all stages finished but the report.
    """
    from trainer.compression.sparsity import layer_sparsity

    calibration, errors = read_int8_costs(run)
    sparse = run.recipe.sparsify.sparsity > 0
    return CompressionContent(
        title=run.photos.resolve().name,
        variants=read_variants(run),
        rungs=read_ladder(run),
        max_drop=run.recipe.gate.max_drop,
        layer_errors=errors,
        layer_sparsity=layer_sparsity(read_latest(run)) if sparse else {},
        layer_widths=read_widths(run),
        calibration=calibration,
        conditions=speed_conditions(read_speed(run, "variants"), Path(MODEL_FILES["int8"])),
        count=0 if read_dataset(run).multi_label else read_evaluations(run)["fp32"]["val"].count,
        notes=_notes(run),
    )


def _file_facts(path: Path) -> FileFacts:
    content = path.read_bytes()
    return FileFacts(path.name, len(content), hashlib.sha256(content).hexdigest())


def _notes(run: Run) -> tuple[str, ...]:
    backbone = get_backbone(run.recipe.model.backbone)
    notes = [f"{backbone.name}: {backbone.int8_warning}."] if backbone.int8_warning else []
    if extension := read_extension(run):
        notes.append(
            f"This run extends another one: its head learned the known classes from stored features of "
            f"{extension.learned:,} photos. {extension_text(extension)} The results below use stored copies of some of "
            "the known classes' photos, sampled per class."
        )
    if not was_pretrained(run):
        notes.append("Trained from scratch, without pretrained ImageNet weights.")
    test = read_evaluations(run)["int8"]["test"]
    return (*notes, *few_notes(test, read_accuracy_by_photos(run), read_undone(run)))


def _speed(report: dict[str, Any]) -> Speed:
    """Return the part of a benchmark's report that the page shows."""
    by_name = {Path(model["path"]).name: model for model in report["models"]}
    models = {kind: by_name[name] for kind, name in MODEL_FILES.items()}
    speedup = models["int8"]["inference_speedup"]
    return Speed(
        models={
            kind: ModelSpeed(model["inference"]["fps"], model["pipeline"]["fps"], model["inference"]["p50_ms"])
            for kind, model in models.items()
        },
        conditions=speed_conditions(report, Path(MODEL_FILES["int8"])),
        ratio=speedup["ratio"],
        ratio_interval=(speedup["low"], speedup["high"]),
        # Readers of the report should not see paths of this machine.
        details={**report, "models": [{**model, "path": Path(model["path"]).name} for model in report["models"]]},
    )
