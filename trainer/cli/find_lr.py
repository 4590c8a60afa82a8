"""``edge-trainer find-lr``: find a learning rate for fine-tuning."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_recipe, require_folder_of
from trainer.errors import OutputFolderError


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("photos", "photos --to rates.png --set finetune.optimizer=sgd")
    find = add_command(commands, "find-lr", "Find a learning rate for fine-tuning", _find_lr, examples)
    find.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    find.add_argument("--to", metavar="FILE", help="Draw the loss curve to an image file, such as rates.png")
    find.add_argument(
        "--steps", type=int, default=100, metavar="N", help="Training steps, with a rising rate (default: %(default)s)"
    )
    add_recipe(find, "finetune.optimizer=sgd")


def _find_lr(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.workflows.learning_rate.figure import PICTURES, format_sweep, write_rate_figure
    from trainer.workflows.learning_rate.sweep import find_learning_rate

    require_folder_of(arguments.to)
    if arguments.to and Path(arguments.to).suffix not in PICTURES:
        raise OutputFolderError(f"Cannot draw to {arguments.to}: its suffix must be one of {', '.join(PICTURES)}.")
    recipe = read_recipe(arguments.recipe, arguments.set)
    sweep = find_learning_rate(Path(arguments.photos), recipe, steps=arguments.steps)
    if arguments.to:
        write_rate_figure(sweep, Path(arguments.to))
    print(format_sweep(sweep))
    return 0
