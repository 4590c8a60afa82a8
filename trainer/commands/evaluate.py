"""``edge-trainer evaluate``: measures any classifier on photos."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.commands.options import add_command

if TYPE_CHECKING:
    from edge_runtime import UnknownThreshold
    from trainer.evaluation.quality import Quality
    from trainer.types import Evaluation, Robustness


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
    evaluate.add_argument(
        "--robustness",
        action="store_true",
        help="on 100 of the photos made blurred, noisy, dark, compressed and turned, too",
    )
    evaluate.add_argument("--json", action="store_true", help="as JSON")


def _evaluate(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from edge_runtime import read_model_file
    from trainer.config import RobustnessConfig
    from trainer.evaluation.evaluate import evaluate_photos, read_rgb_pixels
    from trainer.evaluation.quality import measure_quality
    from trainer.evaluation.robustness import measure_robustness

    model, photos, split = arguments.model, arguments.photos, arguments.split
    evaluation, unreadable = evaluate_photos(model, photos, split=split)
    quality, manifest = measure_quality(evaluation), read_model_file(model).manifest
    threshold = manifest.unknown if manifest else None
    robustness: tuple[Robustness, ...] = ()
    if arguments.robustness:
        pixels = read_rgb_pixels(model, photos, split=split, limit=RobustnessConfig().photos)
        robustness = measure_robustness({"model": Path(model)}, pixels, photos=len(pixels))["model"]
    if arguments.json:
        facts = {
            **evaluation.to_dict(),
            "quality": quality.to_dict(),
            "unknown": _unknown(evaluation, threshold),
            "robustness": [asdict(one) for one in robustness],
            "unreadable": [list(entry) for entry in unreadable],
        }
        print(json.dumps(facts, indent=1))
        return 0
    print(f"{evaluation.model} on {evaluation.count} photos ({evaluation.split}), {evaluation.kernels}")
    _print_quality(evaluation, quality)
    if (unknown := _unknown(evaluation, threshold)) is not None:
        answers = (("right", unknown["of_right"]), ("wrong", unknown["of_wrong"]))
        shares = ", ".join(f"{share:.1%} of the {kind} answers" for kind, share in answers if share is not None)
        print(f"unknown below a certainty of {unknown['certainty']:.2f}: {shares}")
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}  {metrics.support:6d}"
        print(f"{metrics.label:<{width}}  {figures}")
    if robustness:
        print(f"\naccuracy on {robustness[0].count} of the photos, made worse")
        for one in robustness:
            print(f"{one.kind:<10}{one.amount:<22}{one.accuracy:6.1%}")
    for path, reason in unreadable:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    return 0


def _print_quality(evaluation: Evaluation, quality: Quality) -> None:
    low, high = (f"{end:.1%}" for end in quality.accuracy_interval)
    f1_low, f1_high = quality.macro_f1_interval
    print(
        f"accuracy {evaluation.accuracy:.1%} (95% interval {low} to {high}), "
        f"macro F1 {evaluation.macro_f1:.3f} ({f1_low:.3f} to {f1_high:.3f})"
    )
    line = f"weighted F1 {quality.weighted_f1:.3f}, balanced accuracy {quality.balanced_accuracy:.1%}"
    if quality.top_k_accuracy is not None:
        line += f", right class among the best {quality.top_k} {quality.top_k_accuracy:.1%}"
    print(line)
    low, high = (f"{end:.1%}" for end in quality.calibration_error_interval)
    brier = f", Brier score {quality.brier:.3f}" if quality.brier is not None else ""
    print(f"calibration error {quality.calibration_error:.1%} ({low} to {high}){brier}")


def _unknown(evaluation: Evaluation, threshold: UnknownThreshold | None) -> dict[str, Any] | None:
    """What the threshold that a model carries does to its answers."""
    from trainer.evaluation.unknown import unknown_shares

    if threshold is None:
        return None
    of_right, of_wrong = unknown_shares(evaluation, threshold)
    return {"certainty": threshold.certainty, "of_right": of_right, "of_wrong": of_wrong}
