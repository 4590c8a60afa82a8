"""``edge-trainer demo``: the whole main job on handwritten digits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import add_command


def add(commands: Any) -> None:
    """Adds the command."""
    demo = add_command(commands, "demo", "the whole main job on handwritten digits, in a few minutes", _demo)
    demo.add_argument("--to", default="runs/demo", metavar="FOLDER", help="default: %(default)s")


def _demo(arguments: argparse.Namespace) -> int:
    from trainer.workflows.demo.run import run_demo

    print(run_demo(Path(arguments.to)))
    return 0
