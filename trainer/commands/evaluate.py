"""``edge-trainer evaluate``: measures any classifier on photos."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from trainer.commands.options import add_command

if TYPE_CHECKING:
    from trainer.evaluation.multi_label import MultiLabelEvaluation
    from trainer.types import Evaluation


def add(commands: Any) -> None:
    """Adds the command."""
    evaluate = add_command(commands, "evaluate", "measure any .tflite classifier on photos", _evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="the .tflite file")
    evaluate.add_argument("photos", metavar="PHOTOS")
    evaluate.add_argument(
        "--split",
        choices=("test", "val", "train", "all"),
        help="default: test where the folder holds a test split, else all",
    )
    evaluate.add_argument("--json", action="store_true", help="as JSON")


def _evaluate(arguments: argparse.Namespace) -> int:
    from trainer.evaluation.evaluate import evaluate_photos
    from trainer.evaluation.multi_label import MultiLabelEvaluation

    evaluation, unreadable = evaluate_photos(arguments.model, arguments.photos, split=arguments.split)
    if arguments.json:
        print(json.dumps({**evaluation.to_dict(), "unreadable": [list(entry) for entry in unreadable]}, indent=1))
        return 0
    if isinstance(evaluation, MultiLabelEvaluation):
        _print_several(evaluation)
    else:
        _print_one(evaluation)
    for path, reason in unreadable:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    return 0


def _print_one(evaluation: Evaluation) -> None:
    from trainer.evaluation.metrics import accuracy_interval

    low, high = (f"{end:.1%}" for end in accuracy_interval(evaluation))
    print(f"{evaluation.model} on {evaluation.count} photos ({evaluation.split}), {evaluation.kernels}")
    print(f"accuracy {evaluation.accuracy:.1%} (95% interval {low} to {high}), macro F1 {evaluation.macro_f1:.3f}")
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}  {metrics.support:6d}"
        print(f"{metrics.label:<{width}}  {figures}")


def _print_several(evaluation: MultiLabelEvaluation) -> None:
    def text(figure: float | None) -> str:
        return "    –" if figure is None else f"{figure:5.3f}"

    print(f"{evaluation.model} on {evaluation.pictures} photos ({evaluation.split}), {evaluation.kernels}")
    print(
        f"several labels a photo: {evaluation.accuracy:.1%} of the answers right, all of a photo's on "
        f"{evaluation.subset_accuracy:.1%}, macro F1 {evaluation.macro_f1:.3f}, "
        f"mAP {text(evaluation.mean_average_precision).strip()}"
    )
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1     AP    AUC  threshold  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}"
        areas = f"{text(metrics.average_precision)}  {text(metrics.roc_auc)}"
        print(f"{metrics.label:<{width}}  {figures}  {areas}  {metrics.threshold:9.3f}  {metrics.support:6d}")
