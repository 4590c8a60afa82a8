"""``edge-runtime``: command line of the runtime. Results go to stdout, progress and messages to stderr."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.cli import (
    benchmark,
    classify,
    collect,
    compare,
    doctor,
    info,
    install_service,
    record,
    run,
    serve,
    verify,
)
from edge_runtime.cli.memory import OUT_OF_MEMORY, is_out_of_memory
from edge_runtime.cli.options.values import add_help
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status: 0, or 1 after an error; wrong usage exits with 2."""
    # A stream that the caller closed ('>&-') is None. Discard what is written to it.
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the end
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open until the end
    arguments = build_parser().parse_args(argv)
    # numpy's linear algebra is not used here, but its threads take memory, and hang if there is little of it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        status = int(arguments.command(arguments))
        sys.stdout.flush()  # now, while a full disk can still be reported
        return status
    except EdgeRuntimeError as error:
        return _failed(str(error), arguments)
    except BrokenPipeError:  # the reader of our output has closed it, as 'head' does
        _abandon_stdout()
        return 0
    except OSError as error:
        _abandon_stdout()
        return _failed(error.strerror or str(error), arguments)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return _failed(OUT_OF_MEMORY, arguments)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="edge-runtime",
        description="Classify pictures, videos and cameras with a TensorFlow Lite model.",
        epilog="'edge-runtime COMMAND --help' shows a command's options, with examples.",
        add_help=False,
    )
    add_help(parser)
    parser.add_argument(
        "--version", action="version", version=f"edge-runtime {__version__}", help="Show the version and exit"
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    live = (run, serve, record, collect)
    for command in (info, verify, classify, *live, benchmark, compare, doctor, install_service):
        command.add(commands)
    return parser


def _failed(message: str, arguments: argparse.Namespace) -> int:
    """Report the error that is being handled; raise it again if the user wants the traceback."""
    if arguments.traceback:
        raise
    print(f"edge-runtime: {message}", file=sys.stderr)
    return 1


def _abandon_stdout() -> None:
    """Discard buffered output; at exit Python would try to write it again, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
