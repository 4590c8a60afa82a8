"""``edge-trainer resume``: continue a run that was interrupted."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("runs/first", "runs/first --traceback")
    resume = add_command(commands, "resume", "Continue a run that was interrupted", _resume, examples)
    resume.add_argument("run", metavar="RUN", help="Folder of the run; photos and settings are those it started with")


def _resume(arguments: argparse.Namespace) -> int:
    from trainer.reports.summary import format_result
    from trainer.workflows.train.pipeline import resume

    result = resume(arguments.run)
    print(format_result(result))
    result.verdict.require_passed()
    return 0
