"""How a setting is checked."""

from __future__ import annotations

from trainer.errors import RecipeError


def require(condition: bool, name: str, expected: str, got: object) -> None:
    """Raises a RecipeError that says what a setting has to be, unless the condition holds."""
    if not condition:
        raise RecipeError(f"Expected {name} to be {expected}, got {got!r}.")
