"""Virtual environments for third-party packages, created once and kept in ``build/rivals``."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.figure import MissingInputError
from benchmarks.harness.inputs import ROOT

FOLDER = ROOT / "build/rivals"


def environment(requirements: Sequence[str], *, folder: Path = FOLDER) -> Path:
    """Return the Python interpreter of an environment with these packages.

    The environment is recreated if the requirements or this Python change. To upgrade packages, remove its folder.

    Args:
        requirements: Requirements for pip, installed from wheels only. The first one names the environment.
        folder: Folder of all environments.

    Raises:
        MissingInputError: The packages cannot be installed; the message is pip's.
    """
    place = folder / re.split(r"[^\w-]", requirements[0])[0]
    python, stamp = place / "bin/python", place / "made_of.txt"
    wanted = "\n".join((sys.version, *requirements))
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Creating an environment with {', '.join(requirements)} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(place)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
    _run([*pip, *requirements])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def reason_of(said: str) -> str:
    """Return the last line of a program's stderr, without the paths of this machine."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"(?<![^\s'\"(])/\S*/", "", lines[-1]) if lines else "it ended without a word"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise MissingInputError(reason_of(done.stderr))
