"""What an error message has to look like."""

from __future__ import annotations


def check_refusal(error: Exception) -> None:
    """It is one short line that ends in a full sentence."""
    message = str(error)
    assert message.endswith((".", "?")), message
    assert "\n" not in message, message
    assert len(message) < 1500, message
