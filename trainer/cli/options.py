"""How commands are added, and the options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import DataConfig, GateConfig
from trainer.config.require import choices
from trainer.config.tracking import LOCAL
from trainer.errors import OutputFolderError

FILES = (
    "Folder of photos (CLASS/* or {train,val,test}/CLASS/*), list (.csv, .tsv, .jsonl), or export of Roboflow, Edge "
    "Impulse or Teachable Machine"
)
PHOTOS = FILES + "; also the output of pack"


def add_command(
    commands: Any, name: str, summary: str, function: Any, examples: Sequence[str]
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: The subparsers of ``edge-trainer``.
        name: Name of the command.
        summary: One phrase for the list of commands and for the command's own help.
        function: Takes the parsed arguments, runs the command and returns the exit status.
        examples: Arguments of two or three examples, shown at the end of the help.
    """
    lines = [f"  edge-trainer {name} {example}".rstrip() for example in examples]
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary}.",
        epilog="\n".join(["examples:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    add_help(parser)
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="Show the full traceback of an error")
    return parser


def add_help(parser: argparse.ArgumentParser) -> None:
    """Add ``--help``, worded like the other options."""
    parser.add_argument("-h", "--help", action="help", help="Show this help and exit")


def add_recipe(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--recipe`` and ``--set``, with an example of a setting."""
    parser.add_argument(
        "--recipe", default="default", metavar="NAME|FILE", help="Built-in recipe or TOML file (default: %(default)s)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"Change a setting of the recipe, such as {example}; repeatable",
    )


def add_external(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a model trained elsewhere."""
    parser.add_argument("--to", required=True, metavar="FOLDER", help="New folder for the models")
    parser.add_argument(
        "--normalize",
        required=True,
        metavar="RANGE|MEAN,STD",
        help="Input range of the model: 0..255, 0..1, symmetric (-1 to 1), imagenet, or MEAN,STD in pixel values, such "
        "as 127.5,127.5",
    )
    parser.add_argument(
        "--crop",
        choices=choices(DataConfig)["crop"],
        default="center",
        help="How photos are fitted to the input (default: %(default)s)",
    )
    parser.add_argument(
        "--labels", metavar="FILE", help="Text file with one label per line (default: names of the class folders)"
    )


def add_gate(parser: argparse.ArgumentParser) -> None:
    """Add the limits of the accuracy gate."""
    add_max_drop(parser)
    parser.add_argument(
        "--min-agreement",
        type=float,
        metavar="PERCENT",
        help=f"Smallest share of predictions that agree with FP32 (default: {GateConfig.min_agreement:g})",
    )


def add_max_drop(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-drop``."""
    parser.add_argument(
        "--max-drop",
        type=float,
        metavar="POINTS",
        help=f"Largest accuracy drop from FP32 to INT8, in percentage points (default: {GateConfig.max_drop:g})",
    )


def add_track(parser: argparse.ArgumentParser) -> None:
    """Add ``--track``."""
    parser.add_argument(
        "--track",
        nargs="?",
        const=LOCAL,
        metavar="URI",
        help="Log to MLflow: a server's URL; without URI, to mlflow.db in the working folder",
    )


def gate_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the gate settings given on the command line."""
    given = {"max_drop": arguments.max_drop, "min_agreement": arguments.min_agreement}
    return {name: value for name, value in given.items() if value is not None}


def require_folder_of(file: str | None) -> None:
    """Check that an output file's folder exists, before the work that fills the file.

    Raises:
        OutputFolderError: There is no such folder.
    """
    if file and not Path(file).parent.is_dir():
        raise OutputFolderError(f"Cannot write {file}: its folder doesn't exist. Create it, or choose another path.")
