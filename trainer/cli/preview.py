"""``edge-trainer preview``: shows what the network will see."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_recipe
from trainer.errors import OutputFolderError


def add(commands: Any) -> None:
    """Adds the command."""
    preview = add_command(commands, "preview", "show what the network will see in training", _preview)
    preview.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    preview.add_argument("--to", required=True, metavar="FILE", help="the picture to write, as sheet.png")
    preview.add_argument("--per-class", type=count, default=2, metavar="N", help="rows for each class (%(default)s)")
    preview.add_argument("--draws", type=count, default=6, metavar="N", help="columns of changes (%(default)s)")
    add_recipe(preview, "augment.set=camera")


def count(text: str) -> int:
    """A whole number of at least 1; argparse names this function where the text is none."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return number


def _preview(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.storage import write_bytes
    from trainer.workflows.check.preview import preview_photos

    file = Path(arguments.to)
    if file.suffix.lower() != ".png" or not file.parent.is_dir():  # said before the work, not after it
        raise OutputFolderError(f"Expected --to to be a .png file in a folder that exists, got {file}.")
    recipe = read_recipe(arguments.recipe, arguments.set)
    sheet = preview_photos(arguments.photos, recipe, per_class=arguments.per_class, draws=arguments.draws)
    write_bytes(file, sheet)
    print(file)
    return 0
