"""``edge-trainer check``: check photos before training."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from trainer.cli.options import FILES, add_command, add_recipe, require_folder_of


def add(commands: Any) -> None:
    """Add the command."""
    examples = ("photos", "photos --page check.html", "photos --set data.group=exif_time --json check.json")
    summary = "Find unreadable, duplicate, blurred or mislabeled photos before training"
    check = add_command(commands, "check", summary, _check, examples)
    check.add_argument("photos", metavar="PHOTOS", help=FILES)
    check.add_argument("--page", metavar="FILE", help="Write an HTML page with the pictures, such as check.html")
    check.add_argument("--json", nargs="?", const="-", metavar="FILE", help="Write JSON; without FILE, to stdout")
    check.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        help="Look for wrong labels with the backbone (default: if its weights are available)",
    )
    add_recipe(check, "data.group=exif_time")


def _check(arguments: argparse.Namespace) -> int:
    from trainer.config.recipe_file import read_recipe
    from trainer.storage import write_bytes, write_json
    from trainer.workflows.check.check import check_photos
    from trainer.workflows.check.text import format_text

    for file in (arguments.page, arguments.json):
        require_folder_of(file)
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
