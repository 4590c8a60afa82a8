"""``edge-trainer``: a thin command line over the API. Results go to stdout, progress and messages to stderr."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from edge_runtime.errors import EdgeRuntimeError
from trainer.cli import (
    backbones,
    cache,
    card,
    check,
    compress,
    demo,
    evaluate,
    extend,
    find_lr,
    pack,
    preview,
    quantize,
    resume,
    search,
    sign,
    train,
)
from trainer.cli.options import add_help
from trainer.environment import check_packages
from trainer.errors import TrainerError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status: 0, 1 for an error, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        check_packages()
        return int(arguments.command(arguments))
    except (TrainerError, EdgeRuntimeError) as error:
        if arguments.traceback:
            raise
        print(f"edge-trainer: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        advice = "To continue a run, repeat the command or use edge-trainer resume RUN."
        print(f"edge-trainer: stopped. {advice}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from edge_runtime import __version__

    parser = argparse.ArgumentParser(
        prog="edge-trainer",
        description="Turn a folder of photos into a full-INT8 TensorFlow Lite model.",
        epilog="'edge-trainer COMMAND --help' shows a command's options, with examples.",
        add_help=False,
    )
    add_help(parser)
    parser.add_argument(
        "--version", action="version", version=f"edge-trainer {__version__}", help="Show the version and exit"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    photos, models = (check, preview, pack, find_lr), (evaluate, card, quantize, compress, sign)
    for command in (train, resume, extend, search, *photos, *models, backbones, cache, demo):
        command.add(commands)
    return parser
