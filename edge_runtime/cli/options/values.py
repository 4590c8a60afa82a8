"""Building blocks of the commands: adding a command, and parsing option values."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def add_command(
    commands: Any,
    name: str,
    summary: str,
    function: Callable[[argparse.Namespace], int],
    *,
    examples: Sequence[str],
    notes: str = "",
    aliases: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: Result of `argparse.ArgumentParser.add_subparsers`.
        name: Name of the command.
        summary: What the command does; shown in the list of commands and at the top of its help.
        function: Function that runs the command and returns its exit status.
        examples: Complete command lines for the end of the help.
        notes: More about the command, in lines of at most 79 characters.
        aliases: Other names of the command.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        aliases=aliases,
        help=summary,
        description=f"{summary}.\n\n{notes}".strip(),
        epilog="\n  ".join(("examples:", *examples)),
        formatter_class=_HelpFormatter,
        add_help=False,
    )
    add_help(parser)
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="Show the Python traceback of an error")
    return parser


def add_help(parser: argparse.ArgumentParser) -> None:
    """Add ``--help``, worded like the other options."""
    parser.add_argument("-h", "--help", action="help", help="Show this help and exit")


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    return int(_number(text, int, lambda value: value >= 1, "a whole number of at least 1"))


def port(text: str) -> int:
    """Parse a TCP port, 0–65535."""
    return int(_number(text, int, lambda value: 0 <= value <= 65535, "a port number from 0 to 65535"))


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    return _number(text, float, lambda value: 0 < value < float("inf"), "a number above 0")


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    return _number(text, float, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def thread_numbers(text: str) -> tuple[int, ...] | str:
    """Parse ``auto`` or comma-separated numbers of threads."""
    return text if text == "auto" else tuple(dict.fromkeys(positive(part) for part in text.split(",")))


def names(text: str) -> tuple[str, ...]:
    """Parse comma-separated names."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def numbers(text: str) -> tuple[float, ...]:
    """Parse one number, or three separated by commas.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"must be one number, or three separated by commas, not {text!r}")
    return values


def write_text(path: Path, text: str) -> None:
    """Write a file that the user named.

    Raises:
        OutputError: The file cannot be written.
    """
    from edge_runtime.errors import OutputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Cannot write {path}: {error.strerror}. Choose another file.") from error


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Adds the default of an option to its help, unless the help says it."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default, text = action.default, action.help or ""
        is_shown = isinstance(default, str | int | float) and not isinstance(default, bool)
        if default == argparse.SUPPRESS or not is_shown or "(default" in text:
            return text
        return f"{text} (default: %(default)s)"


def _number(text: str, parse: Callable[[str], float], is_valid: Callable[[float], bool], description: str) -> float:
    try:
        value = parse(text)
    except ValueError:
        value = float("nan")
    if not is_valid(value):
        raise argparse.ArgumentTypeError(f"must be {description}, not {text!r}")
    return value
