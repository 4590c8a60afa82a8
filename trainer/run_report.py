"""Gathers what a run's report tells from what its stages left behind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.artifacts import (
    MODEL_FILES,
    read_dataset,
    read_evaluations,
    read_history,
    read_pixels,
    read_speed,
    read_verdict,
    was_pretrained,
)
from trainer.backbones import get_backbone
from trainer.environment import package_versions
from trainer.report_content import (
    DatasetFacts,
    FileFacts,
    ModelSpeed,
    ReportContent,
    Speed,
    StageTime,
    worst_mistakes,
)
from trainer.run import stage_record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainer.run import Run, Stage


def report_content(run: Run, finished: Sequence[Stage], models: Path) -> ReportContent:
    """What the report of a run tells.

    Args:
        run: The run.
        finished: Its stages that are done.
        models: The folder of the model files that ship.
    """
    dataset, evaluations = read_dataset(run), read_evaluations(run)
    records = [(stage, stage_record(run, stage)) for stage in finished]
    times = tuple(StageTime(stage.name, record["seconds"], record["started"]) for stage, record in records)
    return ReportContent(
        title=run.photos.resolve().name,
        labels=dataset.labels,
        evaluations=evaluations,
        files={kind: _file_facts(models / name) for kind, name in MODEL_FILES.items()},
        recipe=run.recipe.to_dict(),
        history=read_history(run),
        verdict=read_verdict(run),
        speed=_speed(read_speed(run)),
        dataset=DatasetFacts.of(dataset),
        mistakes=worst_mistakes(
            read_pixels(run, dataset, "test"), evaluations["int8"]["test"], evaluations["fp32"]["test"]
        ),
        versions=package_versions(),
        stages=times,
        started=times[0].started if times else "",
        notes=_notes(run),
    )


def _file_facts(path: Path) -> FileFacts:
    content = path.read_bytes()
    return FileFacts(path.name, len(content), hashlib.sha256(content).hexdigest())


def _notes(run: Run) -> tuple[str, ...]:
    backbone = get_backbone(run.recipe.model.backbone)
    notes = [f"{backbone.name}: {backbone.int8_warning}."] if backbone.int8_warning else []
    if not was_pretrained(run):
        notes.append("Trained from scratch, without pretrained ImageNet weights.")
    return tuple(notes)


def _speed(report: dict[str, Any]) -> Speed:
    """The benchmark's report as the page shows it."""
    by_name = {Path(model["path"]).name: model for model in report["models"]}
    models = {kind: by_name[name] for kind, name in MODEL_FILES.items()}
    int8 = models["int8"]
    backend, speedup = int8["backend"], int8["inference_speedup"]
    return Speed(
        models={
            kind: ModelSpeed(model["inference"]["fps"], model["pipeline"]["fps"], model["inference"]["p50_ms"])
            for kind, model in models.items()
        },
        conditions=(
            f"{report['machine']['cpu']}, {backend['name']} {backend['version']}, {backend['num_threads']} threads, "
            f"INT8 kernels {backend['int8_kernels']}, {report['rounds']} interleaved rounds, "
            f"{report['frame_width']}×{report['frame_height']} frames"
        ),
        ratio=speedup["ratio"],
        ratio_interval=(speedup["low"], speedup["high"]),
        details=report,
    )
