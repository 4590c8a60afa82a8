"""``edge-runtime``: the command line, a thin twin of the API. Results on stdout, progress and messages on stderr."""

from __future__ import annotations

import argparse
import errno
import os
import sys
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
from edge_runtime.errors import EdgeRuntimeError

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

    live = (run, serve, record, collect)
    for command in (info, verify, classify, *live, benchmark, compare, doctor, install_service):
        command.add(commands)
    return parser


MESSAGE = (
    "Expected more memory than there is, or than this process may use. "
    "End other programs, raise the limit, or use a smaller model or picture."
)
# The dynamic linker, when a library is loaded; CPython, when a thread is started; OpenCV.
_WORDS = ("failed to map segment", "cannot allocate memory", "can't start new thread", "Insufficient memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that there wasn't enough memory."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        if any(words.lower() in str(cause).lower() for words in _WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
