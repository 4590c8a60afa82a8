"""The front doors: each public name is there, and no package takes another's private names."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import edge_runtime
import edge_runtime.benchmark
import edge_runtime.sinks
import edge_runtime.sources
import trainer

ROOT = Path(__file__).resolve().parents[2]
DOORS = (edge_runtime, edge_runtime.benchmark, edge_runtime.sinks, edge_runtime.sources, trainer)


@pytest.mark.parametrize("package", DOORS)
def test_every_public_name_is_there(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("package", ["trainer", "benchmarks"])
def test_private_names_stay_in_their_package(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno} takes {alias.name} from {node.module}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith(package)
        for alias in node.names
        if (node.module or "").partition(".")[0] in ("edge_runtime", "trainer")
        and alias.name.startswith("_")
        and alias.name != "__version__"
    ]
    assert wrong == []
