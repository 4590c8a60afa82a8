"""Writes ``report.json`` and ``report.html`` about a run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.errors import OutputFolderError
from trainer.evaluation.metrics import agreement, changed_answers, right_answers
from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.evaluation.reliability import calibration_error
from trainer.reports.report_content import ReportContent, Speed
from trainer.reports.report_page import render_page
from trainer.storage import write_bytes

SCHEMA_VERSION = 1


def write_report(run_dir: Path, content: ReportContent) -> tuple[Path, Path]:
    """Write ``report.json`` and ``report.html`` into a folder, each atomically.

    Returns:
        The paths of the two files.

    Raises:
        OutputFolderError: The folder can't be written.
    """
    texts = {
        run_dir / "report.json": _json_text(report_to_dict(content)),
        run_dir / "report.html": render_page(content),
    }
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputFolderError(
            f"Cannot write the report into {run_dir}: {error.strerror}. Choose another folder."
        ) from error
    for path, text in texts.items():
        # A file name that is not UTF-8 contains lone surrogates, which can only be written escaped.
        write_bytes(path, text.encode("utf-8", errors="backslashreplace"))
    json_path, html_path = texts
    return json_path, html_path


def report_to_dict(content: ReportContent) -> dict[str, Any]:
    """Return everything in a report as a JSON-serializable dict. Accuracies are 0–1, drop and agreement in percent.

    ``summary`` compares the models by split; ``evaluations`` holds every prediction, as
    `trainer.evaluation.multi_label.read_evaluation` reads it.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "title": content.title,
        "started": content.started,
        "labels": list(content.labels),
        "verdict": content.verdict.to_dict() if content.verdict else None,
        "temperature": content.temperature,
        "unknown": {kind: asdict(threshold) for kind, threshold in content.unknown.items()},
        "robustness": {kind: [asdict(one) for one in measured] for kind, measured in content.robustness.items()},
        "summary": {split: _summary(content, split) for split in content.splits},
        "files": {kind: asdict(facts) for kind, facts in content.files.items()},
        "speed": _speed(content.speed),
        "dataset": (
            {"counts": dict(content.dataset.counts), "unreadable": list(content.dataset.unreadable)}
            if content.dataset
            else None
        ),
        "mistakes": [
            {name: getattr(mistake, name) for name in ("path", "label", "answer", "score", "fp32_answer")}
            for mistake in content.mistakes
        ],
        "history": [asdict(epoch) for epoch in content.history],
        "stages": [asdict(stage) for stage in content.stages],
        "recipe": dict(content.recipe),
        "versions": dict(content.versions),
        "notes": list(content.notes),
        "evaluations": {
            kind: {split: evaluation.to_dict() for split, evaluation in splits.items()}
            for kind, splits in content.evaluations.items()
        },
    }


def _summary(content: ReportContent, split: str) -> dict[str, Any]:
    here = {kind: content.evaluations[kind][split] for kind in content.kinds if split in content.evaluations[kind]}
    summary: dict[str, Any] = {
        kind: {
            "count": evaluation.pictures,
            "accuracy": evaluation.accuracy,
            "macro_f1": evaluation.macro_f1,
            **_by_kind(content, kind, split),
            "latency_ms": evaluation.latency_ms,
            "kernels": evaluation.kernels,
        }
        for kind, evaluation in here.items()
    }
    if len(here) == 2:
        fp32, int8 = here["fp32"], here["int8"]
        lost, gained = changed_answers(fp32, int8)
        summary["drop"] = 100 * (right_answers(fp32) - right_answers(int8)) / fp32.count
        summary["agreement"] = agreement(fp32, int8)
        summary["only_fp32_right"], summary["only_int8_right"] = lost, gained
    return summary


def _by_kind(content: ReportContent, kind: str, split: str) -> dict[str, Any]:
    evaluation = content.evaluations[kind][split]
    if isinstance(evaluation, MultiLabelEvaluation):  # dependent predictions: an interval would be too narrow
        figures = {name: getattr(evaluation, name) for name in ("mean_average_precision", "subset_accuracy")}
        return {**figures, "calibration_error": calibration_error(evaluation)}
    return content.quality[kind][split].to_dict()


def _speed(speed: Speed | None) -> dict[str, Any] | None:
    if speed is None:
        return None
    return {
        "models": {kind: asdict(model) for kind, model in speed.models.items()},
        "conditions": speed.conditions,
        "ratio": speed.ratio,
        "ratio_interval": speed.ratio_interval,
        "details": dict(speed.details),
    }


def _json_text(values: Mapping[str, Any]) -> str:
    text = json.dumps(_finite(values), indent=1, ensure_ascii=False, allow_nan=False)
    # Each list of numbers on one line. Line breaks inside JSON strings are escaped and stay as they are.
    return re.sub(r"\[\n\s+([-+\d.eE,\s]+?)\n\s*\]", lambda m: "[" + " ".join(m[1].split()) + "]", text) + "\n"


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON lacks, by None."""
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
