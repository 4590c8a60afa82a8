"""Options that several commands have, and how each command is added."""

from __future__ import annotations

import argparse
from typing import Any

FILES = "a folder (CLASS/* or {train,val,test}/CLASS/*), a list (.csv, .jsonl) or another program's export"
PHOTOS = FILES + ", or what pack has written"


def add_command(commands: Any, name: str, summary: str, function: Any) -> argparse.ArgumentParser:
    """Adds a command; ``function`` runs it and returns the exit status."""
    description = summary[0].upper() + summary[1:]
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=description)
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    return parser


def add_recipe(parser: argparse.ArgumentParser, example: str) -> None:
    """The settings: a recipe, and changes to it."""
    parser.add_argument(
        "--recipe",
        default="default",
        metavar="NAME|FILE",
        help="a built-in one or a TOML file (default: %(default)s)",
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"for example {example}")


def add_external(parser: argparse.ArgumentParser) -> None:
    """What one has to know about a model that was trained elsewhere."""
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument(
        "--normalize",
        required=True,
        metavar="RANGE|MEAN,STD",
        help="what the model takes: 0..255, 0..1, symmetric (-1 to 1), imagenet, or MEAN,STD in pixels, as 127.5,127.5",
    )
    parser.add_argument("--crop", choices=("center", "stretch"), default="center", help="default: %(default)s")
    parser.add_argument("--labels", metavar="FILE", help="one label a line; default: the class folders' names")


def add_gate(parser: argparse.ArgumentParser) -> None:
    """What INT8 may lose."""
    parser.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy that INT8 may lose; default: 1")
    parser.add_argument("--min-agreement", type=float, metavar="PERCENT", help="answers equal to FP32's; default: 90")


def add_track(parser: argparse.ArgumentParser) -> None:
    """Where it is followed."""
    parser.add_argument(
        "--track", nargs="?", const="local", metavar="URI", help="in MLflow: a server's URL; without: in mlflow.db here"
    )


def gate_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The gate's settings that were given."""
    given = {"max_drop": arguments.max_drop, "min_agreement": arguments.min_agreement}
    return {name: value for name, value in given.items() if value is not None}
