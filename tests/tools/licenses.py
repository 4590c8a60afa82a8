"""Lists the licences of what is locked, as each installed package states its own: ``python -m tests.tools.licenses``.

Writes ``requirements/licenses.md``; `make lock` runs it on Python 3.11.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions

from packaging.utils import canonicalize_name

from tests.tools.locks import FOLDER, locked

PYTHON = "3.11"
LISTED = FOLDER / "licenses.md"
# What states nothing where a program could read it.
_LOOKED_UP = {"namex": "Apache-2.0"}  # its repository's file LICENSE


@dataclass(frozen=True)
class License:
    """Of a package.

    Attributes:
        package: Its normalized name.
        version: Its version.
        terms: An SPDX expression, or the name that the package gives; empty where it states none.
    """

    package: str
    version: str
    terms: str


def installed() -> list[License]:
    """Of each package of the lock ``dev`` that is in this environment, by name."""
    found = {canonicalize_name(one.name): one for one in distributions()}
    names = sorted(found.keys() & locked("dev", f"{sys.version_info[0]}.{sys.version_info[1]}"))
    return [License(name, found[name].version, _terms(found[name]) or _LOOKED_UP.get(name, "")) for name in names]


def _terms(package: Distribution) -> str:
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):  # PEP 639
        return str(expression)
    classifiers = [str(line) for line in metadata.get_all("Classifier") or ()]
    named = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License :: ") and "DFSG" not in line]
    text = str(metadata.get("License") or "").strip()  # a name, or the whole licence
    return text if text and "\n" not in text else " or ".join(named)


def main() -> int:
    if sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        print(f"{LISTED.name} is of Python {PYTHON}; it stays as it is.")
        return 0
    licenses = installed()
    unknown = [one.package for one in licenses if not one.terms]
    if unknown:
        print(f"Expected each package to state its licence, {', '.join(unknown)} don't: look them up, for _LOOKED_UP.")
        return 1
    rows = [f"| {one.package} | {one.version} | {one.terms} |" for one in licenses]
    head = f"Licences of what is locked, on Python {PYTHON}. Made by `python -m tests.tools.licenses`."
    LISTED.write_text("\n".join([head, "", "| Package | Version | Licence |", "|---|---|---|", *rows, ""]), "utf-8")
    print(f"{LISTED}: {len(rows)} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
