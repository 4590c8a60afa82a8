"""``edge-trainer demo``: run the full pipeline on handwritten digits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Add the command."""
    summary = "Run the full pipeline on handwritten digits, in a few minutes"
    demo = add_command(commands, "demo", summary, _demo, ("", "--to runs/digits"))
    demo.add_argument("--to", default="runs/demo", metavar="FOLDER", help="Folder of the run (default: %(default)s)")


def _demo(arguments: argparse.Namespace) -> int:
    from trainer.workflows.demo.run import run_demo

    print(run_demo(Path(arguments.to)))
    return 0
