"""Addresses of servers that may hold a password, of which no message says a word."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_runtime.errors import RulesError

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def split_address(url: str, *, schemes: tuple[str, ...], example: str) -> SplitResult:
    """The parts of a URL, with a host, and with a port that is a number or None.

    Args:
        url: As the user gave it.
        schemes: What it may begin with.
        example: What it may look like, for messages.

    Raises:
        RulesError: It isn't such a URL.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    # A password with / ? # or @ in it falls apart at other places than meant, and its parts would look like a topic.
    if not valid or "@" in parts.path + parts.query + parts.fragment:
        raise RulesError(
            f"Expected an address like {example}, got another one. In a user or password, write / as %2F, # as %23, "
            "? as %3F, @ as %40 and : as %3A."
        )
    return parts
