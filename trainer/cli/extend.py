"""``edge-trainer extend``: adds classes to a trained model."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import PHOTOS, add_command


def add(commands: Any) -> None:
    """Adds the command."""
    extend = add_command(commands, "extend", "add classes, or more photos of known ones, to a trained model", _extend)
    extend.add_argument("model", metavar="RUN|MODEL", help="a finished run's folder, or a model file in it")
    extend.add_argument("photos", metavar="PHOTOS", help=f"of new classes, of known ones or both: {PHOTOS}")
    extend.add_argument("--to", required=True, metavar="NEWRUN", help="a new folder, or an extension that was stopped")


def _extend(arguments: argparse.Namespace) -> int:
    from trainer.reports.summary import format_extension, format_result
    from trainer.types import require_kept
    from trainer.workflows.train.pipeline import extend

    result = extend(arguments.model, arguments.photos, arguments.to)
    print(format_result(result))
    if result.extension:
        print(f"\n{format_extension(result.extension)}")
    require_kept(result.verdict)
    return 0
