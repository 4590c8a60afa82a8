"""The distribution as users get it, built and installed by pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Without what would lead another Python back to this one.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def build_wheel(folder: Path) -> Path:
    """Builds it from a copy of the sources: building leaves files behind."""
    ignored = shutil.ignore_patterns(".*", "runs", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder / "sources", ignore=ignored)
    pip(Path(sys.executable), "wheel", "--no-deps", "--wheel-dir", folder, folder / "sources")
    (built,) = folder.glob("*.whl")
    return built


def pip(python: Path, *arguments: object) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=500, env=CLEAN)
    assert done.returncode == 0, done.stderr
