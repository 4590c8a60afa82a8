"""When photos are few, and what is to be known about it before training."""

from __future__ import annotations

from collections.abc import Mapping

FEW = 50
"""Of a class, over all splits: below this many photos, training and measuring are short of them."""

RECIPE = "few"
"""The built-in recipe for it."""

_NAMED = 5


def few_photos(counts: Mapping[str, int]) -> str:
    """A sentence about the classes of few photos; empty where there are none.

    Args:
        counts: Photos of each class, over all splits.
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
