"""The warning about classes with few photos."""

from __future__ import annotations

from collections.abc import Mapping

FEW = 50
"""Photos per class, over all splits; with fewer, both training and its measurement are unreliable."""

RECIPE = "few"
"""Name of the built-in recipe for few photos."""

_NAMED = 5


def few_photos(counts: Mapping[str, int]) -> str:
    """Return a phrase about the classes with few photos; empty if there are none.

    Args:
        counts: Number of photos per class, over all splits.
    """
    few = {label: count for label, count in sorted(counts.items(), key=lambda item: item[1]) if count < FEW}
    if not few:
        return ""
    named = ", ".join(f"{label} {count}" for label, count in list(few.items())[:_NAMED])
    more = ", …" if len(few) > _NAMED else ""
    return (
        f"{len(few)} of {len(counts)} class{'es' if len(counts) > 1 else ''} "
        f"{'have' if len(few) > 1 else 'has'} fewer than {FEW} photos ({named}{more})"
    )
