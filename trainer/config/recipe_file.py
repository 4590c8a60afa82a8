"""Reading and writing recipes: the settings of a run as TOML."""

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
_MAX_BYTES, _MAX_LINE = 1 << 16, 2048  # a key with thousands of parts keeps Python's TOML parser busy for minutes


def recipe_names() -> tuple[str, ...]:
    """Return the names of the built-in recipes."""
    names = (entry.name for entry in _BUILT_IN.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def read_recipe(name_or_path: str = "default", settings: Sequence[str] = ()) -> Recipe:
    """Read a built-in recipe or a TOML file and override single settings.

    Args:
        name_or_path: Name of a built-in recipe (`recipe_names`), or path of a TOML file.
        settings: Overrides of the form ``section.key=value``, with the value as in TOML; a bare word is a string.

    Raises:
        RecipeError: The recipe doesn't exist or isn't valid TOML, or a setting is unknown or out of range.
    """
    if name_or_path in recipe_names():
        text = (_BUILT_IN / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        path = Path(name_or_path)
        if not _is_file(path):
            raise RecipeError(
                f"Recipe {shown(name_or_path)} not found. Check the path, or use one of {', '.join(recipe_names())}."
            )
        text = read_text(path)
    recipe = Recipe.from_dict(parse_toml(text, name_or_path))
    for setting in settings:
        recipe = recipe.updated(parse_setting(setting))
    return recipe


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long for a file
        return False


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write all settings of a recipe to a TOML file."""
    import tomli_w

    write_bytes(path, tomli_w.dumps(recipe.to_dict()).encode())


def read_text(path: Path) -> str:
    """Return the text of a TOML file, cut just above the size that `parse_toml` accepts.

    Raises:
        RecipeError: The file can't be read or isn't UTF-8.
    """
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Cannot read the TOML file {path}: {error}. It must be a text file in UTF-8.") from error


def parse_toml(text: str, origin: str) -> dict[str, Any]:
    """Parse TOML into nested tables.

    Args:
        text: The TOML text.
        origin: Where the text is from, for error messages.

    Raises:
        RecipeError: The text is too long or isn't valid TOML.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    if len(text) > _MAX_BYTES or any(len(line) > _MAX_LINE for line in text.splitlines()):
        raise RecipeError(
            f"{shown(origin)} is too large for a recipe: TOML may have {_MAX_BYTES >> 10} KiB, in lines of at most "
            f"{_MAX_LINE:,} characters. Check the path."
        )
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits, or deep nesting
        raise RecipeError(f"{shown(origin)} isn't valid TOML: {error}.") from error


def parse_setting(setting: str) -> dict[str, Any]:
    """Parse an override ``section.key=value`` into nested tables.

    Raises:
        RecipeError: The text doesn't have that form.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise RecipeError(f"{shown(setting)} isn't of the form section.key=value, for example finetune.epochs=10.")
    try:
        return parse_toml(f"{key}={value}", setting)
    except RecipeError:
        quoted = value.strip().replace("\\", "\\\\").replace('"', '\\"')
        return parse_toml(f'{key}="{quoted}"', setting)
