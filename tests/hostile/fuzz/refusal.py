"""What a refusal has to look like."""

from __future__ import annotations


def check_refusal(error: Exception) -> None:
    """One line, and a short one, that says what was expected."""
    message = str(error)
    assert message.startswith("Expected "), message
    assert "\n" not in message, message
    assert len(message) < 1500, message
