"""How a setting is checked."""

from __future__ import annotations

from reprlib import Repr

from trainer.errors import RecipeError


class _Shown(Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200

    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < 1000 else f"a number of {x.bit_length()} bits"


_SHOWN = _Shown()


def shown(value: object) -> str:
    """A value as Python writes it, cut where it is long, for an error."""
    return _SHOWN.repr(value)


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raises a RecipeError that says what a setting has to be, unless the condition holds."""
    if not condition:
        raise RecipeError(f"Expected {name} to be {expected}, got {shown(got)}.")
