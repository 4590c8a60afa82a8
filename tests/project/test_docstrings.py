"""What docstrings owe their readers: shape and dtype of each array, Args from four arguments on, Raises for errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("edge_runtime", "trainer")
_MANY = 4
_DTYPE = re.compile(r"\b(u?int(8|16|32|64)|float(16|32|64)|bool|integers?|same dtype|dtype)\b")
_SHAPE = re.compile(r"\([A-Za-z0-9_, …×*]*\)|\bshape\b|\bscalar\b")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def faults(source: str) -> Iterator[tuple[int, str]]:
    """Line and fault of each public function of a module."""
    for node in ast.parse(source).body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield from faults_of(node, ast.get_docstring(node) or "", node.name)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            of_class = ast.get_docstring(node) or ""
            for method in (one for one in node.body if isinstance(one, Function)):
                name, own = f"{node.name}.{method.name}", ast.get_docstring(method) or ""
                if method.name in ("__init__", "__post_init__"):  # the class documents these
                    yield from faults_of(method, of_class, name)
                elif not method.name.startswith("_"):
                    yield from faults_of(method, own, name)


def faults_of(function: Function, docstring: str, name: str) -> Iterator[tuple[int, str]]:
    """What is missing in the docstring of one function."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    given = [argument for argument in every if argument.arg not in ("self", "cls")]
    arrays = [one.arg for one in given if one.annotation is not None and is_array(one.annotation)]
    if arrays or (function.returns is not None and is_array(function.returns)):
        if not _DTYPE.search(docstring):
            yield function.lineno, f"{name}: no dtype of an array"
        if not _SHAPE.search(docstring):
            yield function.lineno, f"{name}: no shape of an array"
    if len(given) >= _MANY and not re.search(r"^(Args|Attributes):", docstring, re.MULTILINE):
        yield function.lineno, f"{name}: {len(given)} arguments without Args"
    if any(raised(function)) and not re.search(r"^Raises:", docstring, re.MULTILINE):
        yield function.lineno, f"{name}: raises without Raises"


def is_array(annotation: ast.expr) -> bool:
    """Whether a value of that type is an array itself: no callable, no mapping of names to arrays."""
    if isinstance(annotation, ast.BinOp):
        return is_array(annotation.left) or is_array(annotation.right)
    return ast.unparse(annotation).startswith(("NDArray", "np.ndarray"))


def raised(function: Function) -> Iterator[ast.Raise]:
    """Errors that the function itself makes; what its inner functions raise is theirs."""
    todo: list[ast.AST] = [*function.body]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield node
        todo += ast.iter_child_nodes(node)


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_say_what_a_caller_needs(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {fault}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, fault in faults(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("signature", "docstring", "expected"),
    [
        ("a: NDArray[np.uint8]", "Takes it.", ["no dtype", "no shape"]),
        ("a: NDArray[np.uint8] | None", "A uint8 picture.", ["no shape"]),
        ("a: NDArray[np.uint8]", "uint8 (H, W, 3) RGB.", []),
        ("a, b, c, d", "Does it.", ["4 arguments without Args"]),
        ("a, b, c, d", "Does it.\n\n    Args:\n        a: One.", []),
    ],
)
def test_what_is_missing_is_found(signature: str, docstring: str, expected: list[str]) -> None:
    found = [fault for _, fault in faults(f'def f({signature}):\n    """{docstring}"""\n')]
    assert len(found) == len(expected)
    assert all(words in fault for words, fault in zip(expected, found, strict=True))


def test_an_error_of_its_own_is_found() -> None:
    assert [fault for _, fault in faults('def f():\n    """Does it."""\n    raise ValueError("no")\n')]
    assert not list(faults('def _f():\n    raise ValueError("no")\n'))
