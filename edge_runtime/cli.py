"""``edge-runtime``: the command line, a thin twin of the API. Results on stdout, progress and messages on stderr."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from edge_runtime.commands import (
    benchmark,
    capture,
    classify,
    compare,
    doctor,
    info,
    install_service,
    record,
    run,
    serve,
    verify,
)
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.out_of_memory import MESSAGE, is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0, 1 for an error, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    # The threads of numpy's linear algebra, of which there is none here, take memory, and hang where there is little.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        status = int(arguments.command(arguments))
        sys.stdout.flush()  # here, where a full disk can still be told
        return status
    except EdgeRuntimeError as error:
        if arguments.traceback:
            raise
        print(f"edge-runtime: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has had enough
        _abandon_stdout()
        return 0
    except OSError as error:
        _abandon_stdout()
        if arguments.traceback:
            raise
        print(f"edge-runtime: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if arguments.traceback or not is_out_of_memory(error):
            raise
        print(f"edge-runtime: {MESSAGE}", file=sys.stderr)
        return 1


def _abandon_stdout() -> None:
    """Lets what is still buffered go nowhere; Python would try again at exit, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-runtime",
        description="Classifies pictures, videos and cameras with a TensorFlow Lite model.",
    )
    from edge_runtime.version import __version__

    parser.add_argument("--version", action="version", version=f"edge-runtime {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    live = (run, serve, record, capture)
    for command in (info, verify, classify, *live, benchmark, compare, doctor, install_service):
        command.add(commands)
    return parser
