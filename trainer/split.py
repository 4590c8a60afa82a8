"""Deals photos out to train, val and test: stratified, seeded, exact duplicates together.

The order in which photos are dealt is given by a hash of the seed and of their bytes, not by a random generator
over a list: so the split is the same on every machine, whatever the files are called and however they are listed,
and adding a few photos moves few of the others.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from trainer.types import SPLITS, Split


def assign_splits(
    sha256s: Sequence[str], labels: Sequence[int], shares: Mapping[Split, float], *, seed: int
) -> list[Split]:
    """Deals photos out, class by class.

    Of a class with n photos, val and test get ``n * share`` each, rounded to the nearest and at least 1, and train
    the rest. Copies of one photo are dealt as one, so that a class that has them may be off by their number; copies
    in several classes are dealt with the first of these. A class needs as many distinct photos as there are splits.

    Args:
        sha256s: Hash of each photo's bytes.
        labels: Class index of each photo.
        shares: Of val and test, 0–1; one that is missing gets nothing.
        seed: Another seed, another split.

    Returns:
        The split of each photo, in the order given.
    """
    copies: dict[str, list[int]] = defaultdict(list)
    for index, sha256 in enumerate(sha256s):
        copies[sha256].append(index)
    by_class: dict[int, list[str]] = defaultdict(list)
    for sha256, indices in copies.items():
        by_class[min(labels[index] for index in indices)].append(sha256)

    splits: list[Split] = ["train"] * len(sha256s)
    for members in by_class.values():
        # Large groups first: the single photos behind them even the numbers out.
        members.sort(key=lambda sha256: (-len(copies[sha256]), _lot(sha256, seed)))
        sizes = [len(copies[sha256]) for sha256 in members]
        for sha256, split in zip(members, _deal(sizes, shares), strict=True):
            for index in copies[sha256]:
                splits[index] = split
    return splits


def _lot(sha256: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).digest()


def _deal(sizes: Sequence[int], shares: Mapping[Split, float]) -> list[Split]:
    """Deals the groups of one class, the largest first."""
    total = sum(sizes)
    lacking = {split: max(1, int(total * share + 0.5)) for split in SPLITS if (share := shares.get(split))}
    lacking["train"] = max(1, total - sum(lacking.values()))
    empty = set(lacking)
    dealt: list[Split] = []
    for position, size in enumerate(sizes):
        # As many groups left as empty splits: they go there and nowhere else.
        open_to = [split for split in lacking if split in empty or len(sizes) - position > len(empty)]
        if size > 1:
            chosen = max(open_to, key=lambda split: lacking[split])
        else:  # one split after the other, train last: then new photos shift only the borders between them
            chosen = next((split for split in open_to if lacking[split] > 0), open_to[-1])
        lacking[chosen] -= size
        empty.discard(chosen)
        dealt.append(chosen)
    return dealt
