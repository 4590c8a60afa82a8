"""Virtual environments for other people's packages, made once and kept in ``build/rivals``."""

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
    """The interpreter of an environment with these packages, of this Python's version.

    It is made again when the requirements or the Python change; to have newer packages, remove its folder.

    Args:
        requirements: As for pip; only wheels are taken. The first package gives the environment its name.
        folder: Where environments are kept.

    Raises:
        MissingInputError: The packages can't be had, in pip's words.
    """
    place = folder / re.split(r"[^\w-]", requirements[0])[0]
    python, stamp = place / "bin/python", place / "made_of.txt"
    wanted = "\n".join((sys.version, *requirements))
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Making an environment with {', '.join(requirements)} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(place)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--only-binary=:all:"]
    _run([*pip, *requirements])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def reason_of(said: str) -> str:
    """The last line that a program said on stderr, without the places of files on this machine."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"(?<![^\s'\"(])/\S*/", "", lines[-1]) if lines else "it ended without a word"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise MissingInputError(reason_of(done.stderr))
