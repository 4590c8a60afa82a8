"""What the packages may import of one another, and that each public name is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import edge_runtime
import trainer

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge_runtime", "trainer", "benchmarks")


# What others may rely on; the rest of edge_runtime is its own.
PUBLIC = {"", "errors", "types", "manifest", "metadata", "model_file", "preprocess", "classifier", "golden", "stream"}
PUBLIC |= {"sources", "benchmark", "postprocess", "signature", "picture_file"}


@dataclass(frozen=True)
class Import:
    """One import statement's target.

    Attributes:
        package: ``"edge_runtime"``, ``"trainer"`` or ``"benchmarks"``.
        module: Inside it, with dots; empty for the package itself.
        names: What is taken from it.
        line: For people.
    """

    package: str
    module: str
    names: tuple[str, ...]
    line: str


@cache
def modules_of(package: str) -> dict[str, Path]:
    """The package's files by their module names inside it."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT / package).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").removesuffix(".")] = path
    return found


@cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """What a file imports of ours when it runs, at its top and inside of functions."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[Import]:
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        todo += ast.iter_child_nodes(node)
        line = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from resolved(alias.name, (), line)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{line}: Expected absolute imports only."
            yield from resolved(node.module or "", tuple(alias.name for alias in node.names), line)


def resolved(target: str, names: tuple[str, ...], line: str) -> Iterator[Import]:
    """Follows names that a package takes from its modules, and modules that are imported as names."""
    package, _, module = target.partition(".")
    if package not in PACKAGES:
        return
    lazy = {"edge_runtime": edge_runtime._MODULE_OF, "trainer": trainer._MODULE_OF}.get(package, {})
    modules = modules_of(package)
    for name in names if not module else ():
        yield Import(package, name if name in modules else lazy.get(name, ""), (name,), line)
    if module or not names:
        yield Import(package, module, names, line)


def test_the_device_needs_nothing_of_the_trainer() -> None:
    wrong = [
        found.line
        for path in modules_of("edge_runtime").values()
        for found in imports_of(path)
        if found.package != "edge_runtime"
    ]
    assert wrong == []


@pytest.mark.parametrize("package", ["trainer"])
def test_others_take_what_is_public_of_the_runtime(package: str) -> None:
    wrong = [
        f"{found.line} takes {', '.join(found.names)} from edge_runtime.{found.module}"
        for path in modules_of(package).values()
        for found in imports_of(path)
        if found.package == "edge_runtime"
        and (found.module not in PUBLIC or any(name.startswith("_") and name != "__version__" for name in found.names))
    ]
    assert wrong == []


def test_the_trainer_needs_nothing_of_the_benchmarks() -> None:
    found = [imported for path in modules_of("trainer").values() for imported in imports_of(path)]
    assert [imported.line for imported in found if imported.package == "benchmarks"] == []


@pytest.mark.parametrize("package", [edge_runtime, trainer])
def test_every_public_name_is_there(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # type: ignore[attr-defined]  # noqa: B018
