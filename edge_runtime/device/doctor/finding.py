"""What the doctor finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]
"""``"warning"``: works, but not as well as it could; ``"problem"``: does not work."""


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        subject: What was checked, in a word or two.
        level: How well it works.
        found: What was found.
        mend: Command that fixes it or shows more; empty if none is needed or known.
    """

    subject: str
    level: Level
    found: str
    mend: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return a JSON-serializable dict."""
        return asdict(self)
