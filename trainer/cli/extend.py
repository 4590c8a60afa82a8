"""``edge-trainer extend``: add classes to a trained model."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import PHOTOS, add_command


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("runs/first new_photos --to runs/second", "runs/first/model_int8.tflite new_photos --to runs/second")
    summary = "Add new classes, or more photos of known classes, to a trained model"
    extend = add_command(commands, "extend", summary, _extend, examples)
    extend.add_argument("model", metavar="RUN|MODEL", help="Folder of a finished run, or a model file in it")
    extend.add_argument("photos", metavar="PHOTOS", help=f"Photos of new classes, known classes or both. {PHOTOS}")
    extend.add_argument("--to", required=True, metavar="NEWRUN", help="New folder, or an interrupted extension")


def _extend(arguments: argparse.Namespace) -> int:
    from trainer.reports.summary import format_extension, format_result
    from trainer.workflows.train.pipeline import extend

    result = extend(arguments.model, arguments.photos, arguments.to)
    print(format_result(result))
    if result.extension:
        print(f"\n{format_extension(result.extension)}")
    result.verdict.require_passed()
    return 0
