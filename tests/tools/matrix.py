"""The runtime alone, with each Python, interpreter, numpy and OpenCV here: ``python -m tests.tools.matrix``.

Each line is an environment of its own, with the wheel and what the line names. In it, two models' golden samples are
verified, pictures are classified, and those tests run that need no trainer. The table goes to README. Exit status 1: a
line that pyproject.toml offers doesn't work, or none of a Python's does. ``--python 3.13`` tries that one's lines
alone, and leaves README as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from packaging.requirements import Requirement

from tests.support.tiny import LABELS, make_models, picture
from tests.support.wheel import CLEAN, ROOT, build_wheel
from tests.tools.locks import environment, project

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TESTS = [
    f"tests/edge_runtime/{name}.py"
    for name in (
        "pixels/test_preprocess",
        "inference/test_postprocess",
        "live_loop/test_decision",
        "sources/test_sources",
    )
]
_NEEDS_A_MODEL = "not the_live_loop_connects_again"
_TEST_TOOLS = ("pytest>=8,<10", "pytest-timeout>=2.3,<3", "hypothesis>=6.100,<7")
_NUMPY = {"1": "numpy>=1.23.2,<2", "2": "numpy>=2,<3"}
# OpenCV from 4.12 on wants numpy 2.
_OPENCV = {"4": "opencv-python-headless>=4.8,<5", "5": "opencv-python-headless>=5,<6"}
_INTERPRETERS = {"tflite-runtime": "tflite-runtime==2.14.0", "ai-edge-litert": "ai-edge-litert>=2.0,<3"}
_COMBINATIONS = (
    ("tflite-runtime", "1", "4"),
    ("tflite-runtime", "2", "4"),
    ("ai-edge-litert", "1", "4"),
    ("ai-edge-litert", "2", "4"),
    ("ai-edge-litert", "2", "5"),
)
_PATIENCE_S = 300
_BEGIN, _END = "<!-- matrix -->\n", "<!-- /matrix -->"


@dataclass(frozen=True)
class Line:
    """One combination and what came of it.

    Attributes:
        python: Its version.
        packages: Name → version as installed, or as asked for where it can't be.
        offered: Whether a `pip install` of the project may give it.
        problem: Why it doesn't work; empty where it does.
        tests: How many passed.
    """

    python: str
    packages: dict[str, str]
    offered: bool
    problem: str = ""
    tests: int = 0

    def row(self) -> str:
        """Of the table."""
        interpreters = [f"{name} {self.packages[name]}".strip() for name in _INTERPRETERS if name in self.packages]
        shown = [self.packages.get(name, "") for name in ("numpy", "opencv-python-headless")]
        result = f"no: {self.problem}" if self.problem else f"works ({self.tests} tests)"
        cells = [self.python, *interpreters, *shown, "yes" if self.offered else "", result]
        return f"| {' | '.join(cells)} |"


class _ProblemError(Exception):
    """Why a line doesn't work."""


def try_line(python: Path, version: str, combination: tuple[str, str, str], wheel: Path, models: Path) -> Line:
    """Makes the environment and uses it."""
    interpreter, numpy, opencv = combination
    asked = {interpreter: _INTERPRETERS[interpreter], "numpy": _NUMPY[numpy], "opencv-python-headless": _OPENCV[opencv]}
    packages = {interpreter: "", "numpy": numpy, "opencv-python-headless": opencv}
    with tempfile.TemporaryDirectory() as name:
        try:
            inside = Path(name) / "bin" / "python"
            _run([python, "-m", "venv", "--without-pip", name], "venv")
            pip = [sys.executable, "-m", "pip", "--python", inside, "--disable-pip-version-check"]
            install = [*pip, "install", "--quiet", "--only-binary", ":all:"]
            _run([*install, *asked.values(), *_TEST_TOOLS], "pip")
            _run([*install, "--no-deps", wheel], "pip")
            listed = json.loads(_run([*pip, "list", "--format", "json"], "pip"))
            there = {entry["name"].lower().replace("_", "-"): entry["version"] for entry in listed}
            packages = {package: there[package] for package in asked}
            for model in sorted(models.glob("*.tflite")):
                _run([inside, "-m", "edge_runtime", "verify", model], "verify", models)
                for label in LABELS:
                    said = _run([inside, "-m", "edge_runtime", "classify", model, f"{label}.png"], "classify", models)
                    if not said.startswith(f"{label}.png: {label}"):
                        raise _ProblemError(f"classify says {said}")
            options = ["-p", "no:cacheprovider", "-k", _NEEDS_A_MODEL]
            summary = _run([inside, "-m", "pytest", *TESTS, *options], "the tests", ROOT)
            passed = int((re.search(r"(\d+) passed", summary) or ["", "0"])[1])
        except _ProblemError as problem:
            return Line(version, packages, _offered(version, packages), problem=str(problem))
    return Line(version, packages, _offered(version, packages), tests=passed)


def _run(command: Sequence[object], what: str, folder: Path | None = None) -> str:
    try:
        done = subprocess.run(
            [*map(str, command)], cwd=folder, env=CLEAN, capture_output=True, text=True, timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise _ProblemError(f"{what} took more than {_PATIENCE_S} s") from None
    if done.returncode:
        lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        told = next((line for line in reversed(lines) if re.match(r"(ERROR|E  |FAILED|edge-runtime: )", line)), "")
        if missing := re.search(r"No matching distribution found for (.+)", told):
            raise _ProblemError(f"no wheel of {missing[1]}")
        told = told or (lines[-1] if lines else f"status {done.returncode}")
        raise _ProblemError(f"{what}: {textwrap.shorten(told.removeprefix('edge-runtime: '), 140, placeholder=' …')}")
    return done.stdout


def _offered(python: str, packages: dict[str, str]) -> bool:
    """Whether the versions are within pyproject.toml's bounds, with the interpreter by default or from its extra."""
    here, about = environment(python), project()
    wanted = [Requirement(text) for text in about["dependencies"]]
    bounds = {one.name: one.specifier for one in wanted if one.marker is None or one.marker.evaluate(here)}
    bounds |= {"ai-edge-litert": Requirement(about["optional-dependencies"]["litert"][0]).specifier}
    return all(name in bounds and "." in version and version in bounds[name] for name, version in packages.items())


def find_python(version: str) -> Path | None:
    """An interpreter of that version, on the PATH or of pyenv, with the module venv."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"))
    for found in (shutil.which(f"python{version}"), *pyenv):
        if found and not subprocess.run([found, "-c", "import venv, ensurepip"], capture_output=True).returncode:
            return Path(found)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Tries the runtime with each Python, interpreter, numpy and OpenCV.")
    parser.add_argument("--python", choices=PYTHONS, action="append", help="only this one; README stays as it is")
    arguments = parser.parse_args()
    table = ["| Python | Interpreter | numpy | OpenCV | Offered | Result |", "|---|---|---|---|---|---|"]
    print("\n".join(table), flush=True)
    failed = False
    for version, lines in _tried(arguments.python or PYTHONS):
        tried = []
        for line in lines:
            tried.append(line)
            table.append(line.row())
            print(table[-1], flush=True)
        failed |= any(line.offered and line.problem for line in tried)
        failed |= bool(tried) and not any(line.offered for line in tried)
        if not tried:
            table.append(f"| {version} | | | | | not here: no python{version} on the PATH or in pyenv |")
            print(table[-1], flush=True)
    if not arguments.python:
        readme = ROOT / "README.md"
        text = readme.read_text(encoding="utf-8")
        start, end = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
        readme.write_text(text[:start] + "\n".join([*table, ""]) + text[end:], encoding="utf-8")
    return 1 if failed else 0


def _tried(versions: Sequence[str]) -> Iterator[tuple[str, Iterator[Line]]]:
    """Each Python with its lines, none where it isn't here."""
    with tempfile.TemporaryDirectory() as name:
        models = Path(name) / "models"
        models.mkdir()
        make_models(models)
        for label in LABELS:
            cv2.imwrite(str(models / f"{label}.png"), picture(label)[:, :, ::-1])
        wheel = build_wheel(Path(name))
        for version in versions:
            python = find_python(version)
            combinations = _COMBINATIONS if python else ()
            yield version, (try_line(python, version, one, wheel, models) for one in combinations if python)


if __name__ == "__main__":
    sys.exit(main())
