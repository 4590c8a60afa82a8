"""``edge-trainer evaluate``: measure any classifier on photos."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.cli.options import FILES, add_command
from trainer.config import RobustnessConfig
from trainer.errors import DatasetError
from trainer.types import SPLITS

if TYPE_CHECKING:
    from edge_runtime import UnknownThreshold
    from trainer.evaluation.multi_label import MultiLabelEvaluation
    from trainer.evaluation.quality import Quality
    from trainer.types import Evaluation, Robustness


def add(commands: Any) -> None:
    """Add the command."""
    examples = (
        "runs/first/model_int8.tflite photos",
        "model.tflite other_photos --robustness",
        "model.tflite photos --split val --json",
    )
    summary = "Measure the accuracy of any .tflite classifier on labeled photos"
    evaluate = add_command(commands, "evaluate", summary, _evaluate, examples)
    evaluate.add_argument("model", metavar="MODEL", help=".tflite file")
    evaluate.add_argument("photos", metavar="PHOTOS", help=FILES)
    evaluate.add_argument(
        "--split", choices=(*SPLITS, "all"), help="Split to measure (default: test if the photos have one, else all)"
    )
    evaluate.add_argument(
        "--robustness",
        action="store_true",
        help=f"Also measure {RobustnessConfig.photos} photos after blur, noise, darkening, compression and rotation",
    )
    evaluate.add_argument("--json", action="store_true", help="Print JSON")


def _evaluate(arguments: argparse.Namespace) -> int:
    from trainer.evaluation.evaluate import evaluate_photos
    from trainer.evaluation.multi_label import MultiLabelEvaluation

    evaluation, unreadable = evaluate_photos(arguments.model, arguments.photos, split=arguments.split)
    several = isinstance(evaluation, MultiLabelEvaluation)
    if several and arguments.robustness:
        raise DatasetError("--robustness needs photos with one label each, and these have several. Omit it.")
    facts = {} if several else _facts(evaluation, arguments)
    if arguments.json:
        left_out = {"unreadable": [list(entry) for entry in unreadable]}
        print(json.dumps({**evaluation.to_dict(), **_as_json(facts), **left_out}, indent=1))
        return 0
    if isinstance(evaluation, MultiLabelEvaluation):
        _print_several(evaluation)
    else:
        _print_one(evaluation, **facts)
    for path, reason in unreadable:
        print(f"skipped: {path}: {reason}", file=sys.stderr)
    return 0


def _facts(evaluation: Evaluation, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure what only single-label models have: quality, "unknown" shares and robustness."""
    from edge_runtime import read_model_file
    from trainer.evaluation.evaluate import read_rgb_pixels
    from trainer.evaluation.quality import measure_quality
    from trainer.evaluation.robustness import measure_robustness

    model, manifest = arguments.model, read_model_file(arguments.model).manifest
    robustness: tuple[Robustness, ...] = ()
    if arguments.robustness:
        pixels = read_rgb_pixels(model, arguments.photos, split=arguments.split, limit=RobustnessConfig.photos)
        robustness = measure_robustness({"model": Path(model)}, pixels, photos=len(pixels))["model"]
    unknown = _unknown(evaluation, manifest.unknown if manifest else None)
    return {"quality": measure_quality(evaluation), "unknown": unknown, "robustness": robustness}


def _as_json(facts: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    if not facts:
        return {}
    robustness = [asdict(one) for one in facts["robustness"]]
    return {**facts, "quality": facts["quality"].to_dict(), "robustness": robustness}


def _print_one(
    evaluation: Evaluation, *, quality: Quality, unknown: dict[str, Any] | None, robustness: tuple[Robustness, ...]
) -> None:
    print(f"{evaluation.model} on {evaluation.count} photos ({evaluation.split}), {evaluation.kernels}")
    _print_quality(evaluation, quality)
    if unknown is not None:
        predictions = (("correct", unknown["of_right"]), ("wrong", unknown["of_wrong"]))
        shares = ", ".join(f"{share:.1%} of {kind} predictions" for kind, share in predictions if share is not None)
        print(f"unknown (certainty below {unknown['certainty']:.3f}): {shares}")
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}  {metrics.support:6d}"
        print(f"{metrics.label:<{width}}  {figures}")
    if robustness:
        print(f"\naccuracy on {robustness[0].count} corrupted photos")
        for one in robustness:
            print(f"{one.kind:<10}{one.amount:<22}{one.accuracy:6.1%}")


def _print_several(evaluation: MultiLabelEvaluation) -> None:
    def text(figure: float | None) -> str:
        return "    –" if figure is None else f"{figure:5.3f}"

    print(f"{evaluation.model} on {evaluation.pictures} photos ({evaluation.split}), {evaluation.kernels}")
    print(
        f"multi-label: label accuracy {evaluation.accuracy:.1%}, subset accuracy (all labels of a photo) "
        f"{evaluation.subset_accuracy:.1%}, macro F1 {evaluation.macro_f1:.3f}, "
        f"mAP {text(evaluation.mean_average_precision).strip()}"
    )
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1     AP    AUC  threshold  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}"
        areas = f"{text(metrics.average_precision)}  {text(metrics.roc_auc)}"
        print(f"{metrics.label:<{width}}  {figures}  {areas}  {metrics.threshold:9.3f}  {metrics.support:6d}")


def _print_quality(evaluation: Evaluation, quality: Quality) -> None:
    low, high = (f"{end:.1%}" for end in quality.accuracy_interval)
    f1_low, f1_high = quality.macro_f1_interval
    print(
        f"accuracy {evaluation.accuracy:.1%} (95% interval {low} to {high}), "
        f"macro F1 {evaluation.macro_f1:.3f} ({f1_low:.3f} to {f1_high:.3f})"
    )
    line = f"weighted F1 {quality.weighted_f1:.3f}, balanced accuracy {quality.balanced_accuracy:.1%}"
    if quality.top_k_accuracy is not None:
        line += f", top-{quality.top_k} accuracy {quality.top_k_accuracy:.1%}"
    print(line)
    low, high = (f"{end:.1%}" for end in quality.calibration_error_interval)
    brier = f", Brier score {quality.brier:.3f}" if quality.brier is not None else ""
    print(f"calibration error {quality.calibration_error:.1%} ({low} to {high}){brier}")


def _unknown(evaluation: Evaluation, threshold: UnknownThreshold | None) -> dict[str, Any] | None:
    """Return the shares of predictions below the model's "unknown" threshold; None without a threshold."""
    from trainer.evaluation.unknown import unknown_shares

    if threshold is None:
        return None
    of_right, of_wrong = unknown_shares(evaluation, threshold)
    return {"certainty": threshold.certainty, "of_right": of_right, "of_wrong": of_wrong}
