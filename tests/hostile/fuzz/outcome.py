"""What became of hostile files, counted and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("build/fuzz")


@dataclass(frozen=True)
class Broken:
    """A file that was neither taken nor refused.

    Attributes:
        number: Of the mutation.
        how: What happened.
        content: Of the file.
    """

    number: int
    how: str
    content: bytes


def report(outcomes: Iterable[str | Broken], *, seed: int, suffix: str) -> int:
    """Prints the counts, keeps what broke in `FOLDER`, and returns the exit status.

    Args:
        outcomes: ``"ran"``, ``"refused"`` or what is wrong, one after the other.
        seed: Of the mutations.
        suffix: Of the kept files.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    for became in outcomes:
        if isinstance(became, Broken):
            kept = FOLDER / f"seed{seed}-{became.number}{suffix}"
            kept.write_bytes(became.content)
            print(f"{kept}: {became.how}", flush=True)
        counts["broke" if isinstance(became, Broken) else became] += 1
        if counts.total() % 1000 == 0:
            print(dict(counts), flush=True)
    print(dict(counts))
    return 1 if counts["broke"] else 0
