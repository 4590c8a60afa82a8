"""``edge-trainer evaluate``: measures any classifier on photos."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from trainer.commands.options import add_command


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
    from trainer.evaluation.metrics import accuracy_interval

    evaluation, unreadable = evaluate_photos(arguments.model, arguments.photos, split=arguments.split)
    if arguments.json:
        print(json.dumps({**evaluation.to_dict(), "unreadable": [list(entry) for entry in unreadable]}, indent=1))
        return 0
    low, high = (f"{end:.1%}" for end in accuracy_interval(evaluation))
    print(f"{evaluation.model} on {evaluation.count} photos ({evaluation.split}), {evaluation.kernels}")
    print(f"accuracy {evaluation.accuracy:.1%} (95% interval {low} to {high}), macro F1 {evaluation.macro_f1:.3f}")
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}  {metrics.support:6d}"
        print(f"{metrics.label:<{width}}  {figures}")
    for path, reason in unreadable:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    return 0
