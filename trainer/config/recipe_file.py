"""Reads and writes recipes: TOML files that hold the settings of a run."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import Recipe
from trainer.config.require import shown
from trainer.errors import RecipeError
from trainer.storage import write_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

_BUILT_IN = files("trainer.config") / "recipes"
_MAX_BYTES, _MAX_LINE = 1 << 16, 2048  # a key of thousands of parts keeps Python's TOML reader busy for minutes


def recipe_names() -> tuple[str, ...]:
    """The recipes that ship with the trainer."""
    names = (entry.name for entry in _BUILT_IN.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def read_recipe(name_or_path: str = "default", settings: Sequence[str] = ()) -> Recipe:
    """Reads a recipe by name or from a TOML file, and changes single settings.

    Args:
        name_or_path: One of `recipe_names`, or the path of a TOML file.
        settings: ``section.key=value`` each, the value in TOML's notation; a bare word is taken as a string.

    Raises:
        RecipeError: There is no such recipe, it is no TOML, or a setting is unknown or out of range.
    """
    if name_or_path in recipe_names():
        text = (_BUILT_IN / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        path = Path(name_or_path)
        if not _is_file(path):
            raise RecipeError(
                f"Expected a recipe file or one of {', '.join(recipe_names())}, got {shown(name_or_path)}. "
                "Check the path."
            )
        text = read_text(path)
    recipe = Recipe.from_dict(parse_toml(text, name_or_path))
    for setting in settings:
        recipe = recipe.updated(parse_setting(setting))
    return recipe


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # of a name that is too long for one
        return False


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Writes all the settings."""
    import tomli_w

    write_bytes(path, tomli_w.dumps(recipe.to_dict()).encode())


def read_text(path: Path) -> str:
    """A TOML file's text.

    Raises:
        RecipeError: It can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Expected a TOML file, got {path}, which can't be read: {error}.") from error


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """Nested tables; ``origin`` tells in an error where the text is from.

    Raises:
        RecipeError: It is no TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if len(text) > _MAX_BYTES or any(len(line) > _MAX_LINE for line in text.splitlines()):
        raise RecipeError(
            f"Expected at most {_MAX_BYTES >> 10} KiB of TOML in {shown(origin)}, in lines of at most {_MAX_LINE:,} "
            "characters, got more. Is it a recipe?"
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, and tables in tables, among others
        raise RecipeError(f"Expected TOML in {shown(origin)}, got something else: {error}.") from error


def parse_setting(setting: str) -> dict[str, Any]:
    """``section.key=value`` as nested tables.

    Raises:
        RecipeError: It isn't of that form.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise RecipeError(f"Expected section.key=value, for example finetune.epochs=10, got {shown(setting)}.")
    try:
        return parse_toml(f"{key}={value}", setting)
    except RecipeError:
        quoted = value.strip().replace("\\", "\\\\").replace('"', '\\"')
        return parse_toml(f'{key}="{quoted}"', setting)
