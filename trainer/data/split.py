"""Deals photos out to train, val and test: stratified, seeded, exact duplicates and groups together.

The order in which photos are dealt is given by a hash of the seed and of their bytes, not by a random generator
over a list: so the split is the same on every machine, whatever the files are called and however they are listed,
and adding a few photos moves few of the others. A group's place in the order comes from its name instead.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.types import SPLITS, Split


@dataclass(frozen=True)
class Unit:
    """Photos that are dealt as one.

    Attributes:
        name: What its lot is drawn by.
        indices: Of the photos.
        labels: How many of them are of each class.
    """

    name: str
    indices: tuple[int, ...]
    labels: Mapping[int, int]


def assign_splits(
    sha256s: Sequence[str],
    labels: Sequence[int],
    shares: Mapping[Split, float],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> list[Split]:
    """Deals photos out, class by class.

    Of a class with n photos, val and test get ``n * share`` each, rounded to the nearest and at least 1, and train
    the rest. Copies of one photo are dealt as one, so that a class that has them may be off by their number; so are
    groups. What lies in several classes is dealt before the rest, where it is lacking most in all of them together. A
    class needs as many distinct photos or groups as there are splits.

    Args:
        sha256s: Hash of each photo's bytes.
        labels: Class index of each photo.
        shares: Of val and test, 0–1; one that is missing gets nothing.
        seed: Another seed, another split.
        groups: Name of each photo's group, empty where it is in none; None: there are no groups. Groups that share a
            copy of a photo are one.

    Returns:
        The split of each photo, in the order given.
    """
    units = join_units(sha256s, [(label,) for label in labels], groups)
    # Large ones first: the single photos behind them even the numbers out.
    units.sort(key=lambda unit: (-len(unit.indices), lot(unit.name, seed)))
    lacking = {label: sizes_of(total, shares) for label, total in Counter(labels).items()}
    totals = {label: sum(sizes.values()) for label, sizes in lacking.items()}
    empty = {label: set(sizes) for label, sizes in lacking.items()}
    left = Counter(label for unit in units for label in unit.labels)

    splits: list[Split] = ["train"] * len(sha256s)
    for unit in sorted(units, key=lambda unit: len(unit.labels) == 1):  # stable: those in several classes first
        # As many units left as empty splits: they go there and nowhere else.
        bound = [empty[label] for label in unit.labels if left[label] <= len(empty[label])]
        wanted = Counter(split for splits_of_class in bound for split in splits_of_class)
        most = max(wanted.values(), default=0)
        order = list(next(iter(lacking.values())))
        open_to = [split for split in order if wanted[split] == most]
        if len(unit.indices) > 1:  # least squared error of the classes' shares
            chosen = max(
                open_to,
                key=lambda split: sum(
                    n * lacking[label][split] / totals[label] ** 2 for label, n in unit.labels.items()
                ),
            )
        else:  # one split after the other, train last: then new photos shift only the borders between them
            (label,) = unit.labels
            chosen = next((split for split in open_to if lacking[label][split] > 0), open_to[-1])
        for label, count in unit.labels.items():
            lacking[label][chosen] -= count
            empty[label].discard(chosen)
            left[label] -= 1
        for index in unit.indices:
            splits[index] = chosen
    return splits


def join_units(sha256s: Sequence[str], labels: Sequence[Sequence[int]], groups: Sequence[str] | None) -> list[Unit]:
    """Joins the copies of a photo, and what is in one group (union–find)."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    names = groups if groups is not None else [""] * len(sha256s)
    keys = [f"group {name}" if name else sha256 for sha256, name in zip(sha256s, names, strict=True)]
    for key, sha256 in zip(keys, sha256s, strict=True):
        low, high = sorted((root(key), root(sha256)))
        parent[low] = high  # "group …" sorts behind hashes: a group's name stands for all
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        members[root(key)].append(index)
    return [
        Unit(name, tuple(found), Counter(label for index in found for label in labels[index]))
        for name, found in members.items()
    ]


def lot(name: str, seed: int) -> bytes:
    """By which units are ordered."""
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def sizes_of(total: int, shares: Mapping[Split, float]) -> dict[Split, int]:
    """How many photos of a class each split should get, train last."""
    sizes = {split: max(1, int(total * share + 0.5)) for split in SPLITS if (share := shares.get(split))}
    sizes["train"] = max(1, total - sum(sizes.values()))
    return sizes


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
