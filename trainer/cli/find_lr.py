"""``edge-trainer find-lr``: finds a learning rate for fine-tuning."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_recipe
from trainer.errors import OutputFolderError


def add(commands: Any) -> None:
    """Adds the command."""
    find = add_command(commands, "find-lr", "find a learning rate for fine-tuning", _find_lr)
    find.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    find.add_argument("--to", metavar="FILE", help="draw the curve, as rates.png")
    find.add_argument("--steps", type=int, default=100, metavar="N", help="from low to high; default: %(default)s")
    add_recipe(find, "finetune.optimizer=sgd")


def _find_lr(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.workflows.learning_rate.figure import PICTURES, format_sweep, write_rate_figure
    from trainer.workflows.learning_rate.sweep import find_learning_rate

    if arguments.to and not Path(arguments.to).parent.is_dir():  # said before the work, not after it
        raise OutputFolderError(
            f"Expected a folder to write {arguments.to} to, there is none. Make it, or choose another."
        )
    if arguments.to and Path(arguments.to).suffix not in PICTURES:
        raise OutputFolderError(f"Expected a file that ends in {', '.join(PICTURES)}, got {arguments.to}.")
    recipe = read_recipe(arguments.recipe, arguments.set)
    sweep = find_learning_rate(Path(arguments.photos), recipe, steps=arguments.steps)
    if arguments.to:
        write_rate_figure(sweep, Path(arguments.to))
    print(format_sweep(sweep))
    return 0
