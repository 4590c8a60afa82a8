"""``edge-trainer resume``: goes on with a run that was stopped or killed."""

from __future__ import annotations

import argparse
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    resume = add_command(commands, "resume", "go on with a run that was stopped or killed", _resume)
    resume.add_argument("run", metavar="RUN", help="its folder; photos and settings are those it was started with")


def _resume(arguments: argparse.Namespace) -> int:
    from trainer.reports.summary import format_result
    from trainer.types import require_kept
    from trainer.workflows.train.pipeline import resume

    result = resume(arguments.run)
    print(format_result(result))
    require_kept(result.verdict)
    return 0
