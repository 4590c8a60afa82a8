"""``edge-trainer preview``: show the augmented pictures that training uses."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from trainer.cli.options import PHOTOS, add_command, add_recipe, require_folder_of
from trainer.errors import OutputFolderError


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("photos --to sheet.png", "photos --to sheet.png --set augment.set=camera --draws 8")
    summary = "Draw the augmented pictures that the network will see in training"
    preview = add_command(commands, "preview", summary, _preview, examples)
    preview.add_argument("photos", metavar="PHOTOS", help=PHOTOS)
    preview.add_argument("--to", required=True, metavar="FILE", help="PNG file to write, such as sheet.png")
    preview.add_argument(
        "--per-class", type=count, default=2, metavar="N", help="Photos per class (default: %(default)s)"
    )
    preview.add_argument(
        "--draws", type=count, default=6, metavar="N", help="Augmented versions of each photo (default: %(default)s)"
    )
    add_recipe(preview, "augment.set=camera")


def count(text: str) -> int:
    """Parse a whole number of at least 1; argparse shows this function's name in its error.

    Raises:
        ArgumentTypeError: The number is less than 1.
    """
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _preview(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.storage import write_bytes
    from trainer.workflows.check.preview import preview_photos

    file = Path(arguments.to)
    require_folder_of(arguments.to)
    if file.suffix.lower() != ".png":
        raise OutputFolderError(f"Cannot draw to {file}: its suffix must be .png.")
    recipe = read_recipe(arguments.recipe, arguments.set)
    sheet = preview_photos(arguments.photos, recipe, per_class=arguments.per_class, draws=arguments.draws)
    write_bytes(file, sheet)
    print(file)
    return 0
