"""What is locked fits pyproject.toml, is named by hash alone, and states its licence."""

from __future__ import annotations

import re
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.tools.licenses import LISTED, PYTHON, installed
from tests.tools.locks import FOLDER, PYTHONS, entries, environment, locked, project

# Lock → the extras of pyproject.toml that it was made from, besides the base.
EXTRAS = {"trainer": ("trainer",), "dev": ("trainer", "dev", "litert")}


def wanted(about: dict[str, Any], extras: tuple[str, ...]) -> list[Requirement]:
    """What a package asks for with extras, those of its own extras included."""
    found = [Requirement(text) for text in about["dependencies"]]
    for extra in extras:
        for text in about["optional-dependencies"][extra]:
            requirement = Requirement(text)
            own = requirement.name == about["name"]
            found += wanted(about, tuple(requirement.extras)) if own else [requirement]
    return found


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", EXTRAS)
def test_what_is_locked_is_within_the_bounds(lock: str, python: str) -> None:
    pins = locked(lock, python)
    assert len(pins) > 50
    for requirement in wanted(project(), EXTRAS[lock]):
        if requirement.marker is None or requirement.marker.evaluate(environment(python)):
            pin = pins.get(canonicalize_name(requirement.name), "none")
            assert pin != "none", f"{requirement} isn't locked. Run make lock."
            assert requirement.specifier.contains(pin), f"{requirement} is locked at {pin}. Run make lock."


def test_every_bound_has_two_ends() -> None:
    for requirement in wanted(project(), tuple(project()["optional-dependencies"])):
        operators = {bound.operator for bound in requirement.specifier}
        assert operators in ({">=", "<"}, {"<", ">="}, {"=="}), f"Expected a lower and an upper bound in {requirement}."


@pytest.mark.parametrize("python", PYTHONS)
def test_the_tests_run_on_what_the_demo_runs_on(python: str) -> None:
    assert locked("trainer", python).items() <= locked("dev", python).items()


@pytest.mark.parametrize("lock", [*EXTRAS, "audit"])
def test_each_version_is_named_by_hash_and_by_no_place(lock: str) -> None:
    for entry in (line for line in entries(lock) if not line.startswith("#")):
        assert re.fullmatch(r"[a-z0-9-]+==[^ ]+( ; [^#]+?)?( --hash=sha256:[0-9a-f]{64})+", entry), entry[:200]
    assert not re.search(r"://|--(extra-)?index|--find-links|\s/\w", (FOLDER / f"{lock}.txt").read_text("utf-8"))


def test_no_package_here_keeps_its_licence_to_itself() -> None:
    licenses = installed()
    assert len(licenses) > 50
    for one in licenses:
        assert one.terms, f"{one.package} states no licence: look it up, for tests.tools.licenses._LOOKED_UP."
        # Of a choice, one that gives the program's user nothing to do for it is enough.
        choices = one.terms.split(" OR ")
        assert not all(re.search(r"\bA?GPL|GNU (Affero )?General", choice) for choice in choices), one


def test_every_locked_licence_is_listed() -> None:
    rows = re.findall(r"^\| ([a-z0-9-]+) \| (\S+) \| (\S.*\S) \|$", LISTED.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: version for name, version, _ in rows} == locked("dev", PYTHON), "Run make lock."
