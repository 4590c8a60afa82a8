"""Any bytes are a recipe or are refused in a sentence."""

from __future__ import annotations

import time
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.fuzz.refusal import check_refusal
from trainer.config import Recipe
from trainer.config.recipe_file import read_recipe
from trainer.errors import RecipeError

TEXT = tomli_w.dumps(Recipe().to_dict())
NAMES = sorted({name for table in Recipe().to_dict().values() if isinstance(table, dict) for name in table})
TABLES = [field.name for field in fields(Recipe) if is_dataclass(getattr(Recipe(), field.name))]

# Of a pattern that a group's name is looked for by: Python warns of what it may mean one day.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

words = st.sampled_from(["", "auto", "none", "adam", "default", "(a)", "(a", "a{99999999999}(b)", "a\n\0b", "x" * 3000])
numbers = st.integers() | st.sampled_from([0, 1, -1, 2**31, 2**32, 2**63, -(2**64), 10**400]) | st.floats()
values = st.recursive(
    st.none() | st.booleans() | numbers | words | st.text(max_size=20) | st.dates() | st.times() | st.datetimes(),
    lambda deeper: st.lists(deeper, max_size=4) | st.dictionaries(st.sampled_from(NAMES), deeper, max_size=4),
    max_leaves=6,
)
tables = st.dictionaries(
    st.sampled_from([*TABLES, "seed", "x" * 300]),
    st.dictionaries(st.sampled_from(NAMES), values, max_size=3) | values,
    max_size=4,
)


def read(content: bytes, folder: Path) -> Recipe | None:
    """The recipe that bytes are; None where they were refused."""
    file = folder / "recipe.toml"
    file.write_bytes(content)
    return checked(lambda: read_recipe(str(file)))


def checked(make: Any) -> Recipe | None:
    started = time.perf_counter()
    try:
        recipe: Recipe = make()
    except RecipeError as error:
        check_refusal(error)
        return None
    finally:
        assert time.perf_counter() - started < 20
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    return recipe


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@settings(max_examples=300)
@given(st.binary(max_size=3000) | st.text(max_size=1000).map(lambda text: text.encode(errors="replace")))
def test_any_bytes(folder: Path, content: bytes) -> None:
    read(content, folder)


@settings(max_examples=400)
@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 30),
    st.sampled_from(["nan", "inf", "-", "9" * 30, '"', "[", "]", "{a.b=", "\n", "[data]", "\0", "'''"]) | st.text(),
)
def test_a_changed_recipe(folder: Path, at: int, length: int, inserted: str) -> None:
    read((TEXT[:at] + inserted + TEXT[at + length :]).encode(errors="replace"), folder)


@settings(max_examples=500)
@given(tables)
def test_any_tables(tables: dict[str, Any]) -> None:
    checked(lambda: Recipe.from_dict(tables))


MONSTERS = {
    "arrays in arrays": b"seed = " + b"[" * 2000,
    "many lines of arrays in arrays": b"seed = " + (b"[" * 2000 + b"\n") * 30,
    "tables in tables": b"[data.crop." + b"a." * 1000 + b"a]",
    "keys of many parts": (b"a." * 1020 + b"a = 1\n") * 31,
    "a table where a number belongs": b"seed." + b"a." * 1000 + b"a = 1",
    "a long number": b"seed = " + b"9" * 2000,
    "a longer one": b"seed = " + b"9" * 5000,
    "hexadecimal": b"seed = 0x" + b"f" * 2000,
    "a large one": b"finetune.learning_rate = 1" + b"0" * 400,
    "a larger one": b"finetune.learning_rate = 1e999",
    "no number": b"finetune.learning_rate = nan",
    "a negative seed": b"seed = -1",
    "a pattern that repeats for ever": b"data.group = '(a){99999999999}'",
    "a nested pattern": b"data.group = '" + b"(" * 1900 + b")" * 100 + b"'",
    "a long name": b"x" * 2000 + b" = 1",
    "too much": b"# a comment\n" * 10_000,
    "another encoding": "seed = 1".encode("utf-16"),
}


@pytest.mark.parametrize("name", MONSTERS)
def test_monsters_are_refused(folder: Path, name: str) -> None:
    assert read(MONSTERS[name], folder) is None


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    with file.open("wb") as opened:
        opened.truncate(1 << 40)
    assert checked(lambda: read_recipe(str(file))) is None


@pytest.mark.parametrize("name", ["", "\0", "a" * 5000, "/dev/zero", "a\nb"])
def test_names_that_are_no_recipe(name: str) -> None:
    assert checked(lambda: read_recipe(name)) is None


def test_a_recipe_that_is_one(folder: Path) -> None:
    assert read(TEXT.encode(), folder) == Recipe()
