"""What commands are made of: how one is added, how its values are read."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_command(commands: Any, name: str, summary: str, function: Any) -> argparse.ArgumentParser:
    """A new command; ``function`` takes the parsed arguments and returns the exit status."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:]
    )
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    return parser


def positive(text: str) -> int:
    """Reads a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


def thread_numbers(text: str) -> tuple[int, ...] | str:
    """Reads ``auto``, or numbers of threads with commas between."""
    return text if text == "auto" else tuple(dict.fromkeys(positive(part) for part in text.split(",")))


def positive_float(text: str) -> float:
    """Reads a number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def share(text: str) -> float:
    """Reads a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Reads names, with commas between."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str) -> tuple[float, ...]:
    """Reads one number or three, with commas between."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected one or three numbers, got {text!r}") from None
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"expected one or three numbers, got {text!r}")
    return values


def write_text(path: Path, text: str) -> None:
    """Writes a file that the user named.

    Raises:
        OutputError: It can't be written.
    """
    from edge_runtime.errors import OutputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Expected to write {path}, got: {error.strerror}. Choose another file.") from error
