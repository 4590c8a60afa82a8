"""The lock files of ``requirements/``: exact versions with hashes, chosen by ``make lock``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).resolve().parents[2] / "requirements"
PYTHONS = ("3.10", "3.11", "3.12")


def project() -> dict[str, Any]:
    """The table of that name in pyproject.toml."""
    text = (FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text)["project"])


def environment(python: str) -> dict[str, str]:
    """What environment markers are judged by, on x86-64 Linux.

    Args:
        python: ``"3.10"``.
    """
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }


def locked(name: str, python: str) -> dict[str, str]:
    """Versions by normalized names.

    Args:
        name: Of the lock file: ``"trainer"``, ``"dev"`` or ``"audit"``.
        python: As for `environment`.
    """
    versions: dict[str, str] = {}
    for entry in entries(name):
        requirement = Requirement(entry.split(" --hash=")[0])
        if requirement.marker is None or requirement.marker.evaluate(environment(python)):
            (pin,) = requirement.specifier
            assert pin.operator == "==", f"Expected an exact version in {name}.txt, got {entry[:80]}."
            assert requirement.name not in versions, f"Expected one version of {requirement.name} in {name}.txt."
            versions[requirement.name] = pin.version
    return versions


def entries(name: str) -> list[str]:
    """A line for each version, with its marker and hashes."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in re.sub(r"\s*\\\n\s*", " ", text).splitlines() if not line.startswith("#")]
