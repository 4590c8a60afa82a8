"""``edge-trainer check``: looks photos over before training."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from trainer.cli.options import FILES, add_command, add_recipe
from trainer.errors import OutputFolderError


def add(commands: Any) -> None:
    """Adds the command."""
    check = add_command(commands, "check", "look photos over before training", _check)
    check.add_argument("photos", metavar="PHOTOS", help=FILES)
    check.add_argument("--page", metavar="FILE", help="write a page with the pictures, as check.html")
    check.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write JSON; without FILE, on stdout")
    check.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        help="look for wrong labels with the backbone; default: where its weights can be had",
    )
    add_recipe(check, "data.group=exif_time")


def _check(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.storage import write_bytes, write_json
    from trainer.workflows.check.check import check_photos
    from trainer.workflows.check.text import format_text

    for file in (arguments.page, arguments.json):
        if file and not Path(file).parent.is_dir():  # said before the work, not after it
            raise OutputFolderError(f"Expected a folder to write {file} to, there is none. Make it, or choose another.")
    report = check_photos(arguments.photos, read_recipe(arguments.recipe, arguments.set), suspects=arguments.labels)
    if arguments.page:
        from trainer.workflows.check.page import render_check_page

        write_bytes(Path(arguments.page), render_check_page(report).encode())
    if arguments.json == "-":
        print(json.dumps(report.to_dict(), indent=1))
        return 0
    if arguments.json:
        write_json(Path(arguments.json), report.to_dict())
    print(format_text(report))
    return 0
