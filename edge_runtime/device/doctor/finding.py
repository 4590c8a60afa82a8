"""What the doctor finds, and how it asks an interpreter that may be broken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Level = Literal["ok", "warning", "problem"]
"""``"warning"``: it works, or something else works, but not as well as it could; ``"problem"``: it won't work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What was looked at, in a word or two.
        level: How it is.
        found: What was found.
        mend: A line to paste into a terminal; empty where nothing needs mending or no command does it.
    """

    subject: str
    level: Level
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, str]:
        """As JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Answer:
    """What a child process said.

    Attributes:
        values: What it printed as JSON; empty when it failed.
        error: Why it failed, in a line; empty when it didn't.
    """

    values: dict[str, Any]
    error: str = ""


def ask(code: str, *arguments: str, python: str | None = None) -> Answer:
    """Runs some code in a child process: what can't be imported, or crashes, does so there.

    Args:
        code: Python that prints one line of JSON, an object, as its last.
        *arguments: Its ``sys.argv[1:]``.
        python: The interpreter; None is the running one, with its ``sys.path``.
    """
    environment = dict(os.environ)
    if python is None:
        environment["PYTHONPATH"] = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    try:
        child = subprocess.run(
            [python or sys.executable, "-c", code, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=120,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer({}, f"it could not be tried ({error})")
    try:
        values = json.loads(child.stdout.splitlines()[-1]) if child.returncode == 0 else None
    except (IndexError, ValueError):
        values = None
    if isinstance(values, dict):
        return Answer(values)
    if child.returncode < 0:
        return Answer({}, f"it ends the process ({signal.Signals(-child.returncode).name})")
    return Answer({}, (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1])
