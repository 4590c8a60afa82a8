"""Checks of settings, which raise a RecipeError that names the setting and its value."""

from __future__ import annotations

from functools import cache
from reprlib import Repr
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainer.errors import RecipeError


class _Shown(Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < 1000 else f"a number of {x.bit_length()} bits"


_SHOWN = _Shown()


def shown(value: object) -> str:
    """Return the repr of a value for an error message, shortened if long."""
    return _SHOWN.repr(value)


def require(condition: bool, name: str, rule: str, value: object) -> None:
    """Check one setting.

    Args:
        condition: Whether the value is valid.
        name: Full name of the setting, such as ``finetune.epochs``.
        rule: What the value must be, as it follows "must be" in the error.
        value: The value, quoted in the error.

    Raises:
        RecipeError: The condition is False.
    """
    if not condition:
        raise RecipeError(f"{name} must be {rule}, got {shown(value)}.")


def require_at_least(least: int, config: object, table: str, *names: str) -> None:
    """Check the lower limit of numeric fields.

    Args:
        least: Smallest valid value.
        config: A config dataclass.
        table: Its table in a recipe with a dot, such as ``finetune.``; empty if it isn't part of one.
        names: Fields to check.

    Raises:
        RecipeError: A value is below the limit.
    """
    for name in names:
        require(getattr(config, name) >= least, table + name, f"at least {least}", getattr(config, name))


@cache
def choices(config: type) -> dict[str, tuple[str, ...]]:
    """Return the values that each `Literal` field of a config class accepts, by field name."""
    return {name: get_args(hint) for name, hint in get_type_hints(config).items() if get_origin(hint) is Literal}


def require_choices(config: Any, table: str = "") -> None:
    """Check all `Literal` fields of a config; ``table`` is as for `require_at_least`.

    Raises:
        RecipeError: A field holds none of its values.
    """
    for name, values in choices(config.__class__).items():
        value = getattr(config, name)
        require(value in values, table + name, f"one of {', '.join(map(repr, values))}", value)
