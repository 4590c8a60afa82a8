"""Looks what is locked up in PyPI's list of known weaknesses, by pip-audit: ``python -m tests.tools.audit``.

Exit status 1: there is one, or a package wasn't looked up. Packages are those of the Python that runs it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCKS = ("requirements/trainer.txt", "requirements/dev.txt", "requirements/audit.txt")


def main() -> int:
    found = [package for lock in LOCKS for package in _looked_up(lock)]
    packages = {(one["name"], one.get("version", "")): one for one in found}
    weak = [(name, version, one["vulns"]) for (name, version), one in sorted(packages.items()) if one.get("vulns")]
    for name, version, weaknesses in weak:
        for weakness in weaknesses:
            fixed = ", ".join(weakness["fix_versions"]) or "no version"
            print(f"{name} {version}: {weakness['id']}, mended in {fixed}")
    skipped = sum("skip_reason" in one for one in packages.values())
    if skipped:
        print(f"Expected answers about {len(packages)} packages, none about {skipped}: PyPI's JSON API isn't in reach.")
    else:
        print(f"{len(packages)} packages looked up, {len(weak)} with known weaknesses")
    return 1 if weak or skipped else 0


def _looked_up(lock: str) -> list[dict[str, Any]]:
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, *options]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        sys.exit(f"Expected a report of pip-audit on {lock}, got: {last}")


if __name__ == "__main__":
    sys.exit(main())
