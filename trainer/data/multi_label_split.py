"""Deals photos with several labels out to train, val and test: iterative stratification.

Sechidis, Tsoumakas & Vlahavas, "On the Stratification of Multi-Label Data", 2011: the rarest class is dealt first, each
of its photos to the split that lacks the class most. Copies of a photo and groups stay together, and the order is given
by hashes, as in `trainer.data.split`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from trainer.data.split import join_units, lot, sizes_of
from trainer.types import SPLITS, Split

_NONE = -1  # stands for the class of the photos that show none: they are dealt in the same shares


def assign_multi_label_splits(
    sha256s: Sequence[str],
    labels: Sequence[Sequence[int]],
    shares: Mapping[Split, float],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> list[Split]:
    """Deals photos out; arguments and result are those of `trainer.data.split.assign_splits`, but for the labels.

    A class may miss a split where its photos are few and show other classes too: the caller has to look.

    Args:
        sha256s: Hash of each photo's bytes.
        labels: Class indices of each photo; none, one or several.
        shares: Of val and test, 0–1; one that is missing gets nothing.
        seed: Another seed, another split.
        groups: Name of each photo's group, empty where it is in none; None: there are no groups.

    Returns:
        The split of each photo, in the order given.
    """
    labels = [found or (_NONE,) for found in labels]
    totals = Counter(label for found in labels for label in found)
    lacking = {label: Counter(sizes_of(total, shares)) for label, total in totals.items()}
    room = Counter(sizes_of(len(sha256s), shares))  # of any class
    units = sorted(join_units(sha256s, labels, groups), key=lambda unit: (-len(unit.indices), lot(unit.name, seed)))

    splits: list[Split] = ["train"] * len(sha256s)
    pending = dict.fromkeys(range(len(units)))
    while pending:
        left = Counter(label for number in pending for label in units[number].labels)
        rarest = min(left, key=lambda label: (left[label], label))
        for number in [n for n in pending if rarest in units[n].labels]:
            unit, wanted = units[number], lacking[rarest]
            chosen = max((split for split in SPLITS if split in room), key=lambda split: (wanted[split], room[split]))
            for label, count in unit.labels.items():
                lacking[label][chosen] -= count
            room[chosen] -= len(unit.indices)
            for index in unit.indices:
                splits[index] = chosen
            del pending[number]
    return splits
