"""Server addresses that may contain a password; error messages never quote them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_runtime.errors import RulesError

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def split_address(url: str, *, schemes: tuple[str, ...], example: str) -> SplitResult:
    """Split a URL into parts and check its scheme, host and port.

    Args:
        url: URL from the user.
        schemes: Accepted schemes.
        example: Example address for the error message.

    Raises:
        RulesError: The URL is invalid.
    """
    try:
        parts = urlsplit(url)
        valid = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    # An unescaped / ? # or @ in a password splits the URL in the wrong place, so part of it would look like a topic.
    if not valid or "@" in parts.path + parts.query + parts.fragment:
        raise RulesError(
            f"Invalid address; use the form {example}. Percent-encode special characters in the user name and "
            "password: / as %2F, # as %23, ? as %3F, @ as %40 and : as %3A."
        )
    return parts
