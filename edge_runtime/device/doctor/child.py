"""Runs code in a child process: imports may fail, or crash the process, without harming the doctor."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ChildResult:
    """Result of a child process.

    Attributes:
        values: JSON object that it printed; empty if it failed.
        error: Reason of the failure, in one line; empty if it succeeded.
        crashed: Whether a signal ended it.
    """

    values: dict[str, Any]
    error: str = ""
    crashed: bool = False


def run_python(code: str, *arguments: str, python: str | None = None) -> ChildResult:
    """Run Python code in a child process.

    Args:
        code: Code whose last line of output is a JSON object.
        *arguments: Arguments of the code, in its ``sys.argv[1:]``.
        python: Path of the interpreter; default: the running one, with its ``sys.path``.
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
        return ChildResult({}, f"it could not be run ({error})")
    try:
        values = json.loads(child.stdout.splitlines()[-1]) if child.returncode == 0 else None
    except (IndexError, ValueError):
        values = None
    if isinstance(values, dict):
        return ChildResult(values)
    if child.returncode < 0:
        return ChildResult({}, f"it crashes ({signal.Signals(-child.returncode).name})", crashed=True)
    return ChildResult({}, (child.stderr.strip().splitlines() or [f"exit status {child.returncode}"])[-1])
