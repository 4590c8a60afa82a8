"""Assigns photos to train, val and test: seeded, stratified by class, with copies and groups kept together.

1. `_units` joins copies of a photo, and the photos of a group, into units that are assigned as a whole.
2. It orders the units by size, then by a hash of the seed and of their bytes (for a group, of its name). So the split
   is the same on every machine, whatever the files' names and order, and a few more photos move few of the others.
3. `assign_splits` (one label per photo) or `assign_multi_label_splits` (any number of labels) assigns the units, so
   that each class comes as close as possible to the sizes of `_sizes`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainer.types import SPLITS, Split

_UNLABELED = -1  # class index of photos without labels, which are split in the same shares


@dataclass(frozen=True)
class _Unit:
    """Photos that are assigned to a split together.

    Attributes:
        name: Hash of the photo, or name of the group.
        indices: Indices of the photos.
        labels: Number of photos per class.
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
    """Assign photos with one label each to splits.

    Of a class with n photos, val and test get ``n * share`` each, rounded and at least 1, and train gets the rest.
    Copies and groups can shift these numbers. Units of several classes are assigned first, to the split that lacks most
    over all their classes. A class needs at least as many distinct photos or groups as there are splits.

    Args:
        sha256s: Hash of each photo's bytes.
        labels: Class index of each photo.
        shares: Shares of val and test, 0–1; a missing split gets no photos.
        seed: Seed; another one gives another split.
        groups: Group name of each photo, empty for none; None: no groups. Groups that share a copy of a photo are one.

    Returns:
        The split of each photo, in the given order.
    """
    units = _units(sha256s, [(label,) for label in labels], groups, seed)
    lacking = {label: _sizes(total, shares) for label, total in Counter(labels).items()}
    totals = {label: sum(sizes.values()) for label, sizes in lacking.items()}
    empty = {label: set(sizes) for label, sizes in lacking.items()}
    left = Counter(label for unit in units for label in unit.labels)

    splits: list[Split] = ["train"] * len(sha256s)
    for unit in sorted(units, key=lambda unit: len(unit.labels) == 1):  # stable sort: units of several classes first
        # A class with as many units left as empty splits fills those splits first.
        bound = [empty[label] for label in unit.labels if left[label] <= len(empty[label])]
        wanted = Counter(split for empty_splits in bound for split in empty_splits)
        most = max(wanted.values(), default=0)
        order = list(next(iter(lacking.values())))
        open_to = [split for split in order if wanted[split] == most]
        if len(unit.indices) > 1:  # the split with the least squared error of the classes' shares
            chosen = max(
                open_to,
                key=lambda split: sum(
                    n * lacking[label][split] / totals[label] ** 2 for label, n in unit.labels.items()
                ),
            )
        else:  # fill one split after the other, train last, so that new photos only shift the borders
            (label,) = unit.labels
            chosen = next((split for split in open_to if lacking[label][split] > 0), open_to[-1])
        for label, count in unit.labels.items():
            lacking[label][chosen] -= count
            empty[label].discard(chosen)
            left[label] -= 1
        for index in unit.indices:
            splits[index] = chosen
    return splits


def assign_multi_label_splits(
    sha256s: Sequence[str],
    labels: Sequence[Sequence[int]],
    shares: Mapping[Split, float],
    *,
    seed: int,
    groups: Sequence[str] | None = None,
) -> list[Split]:
    """Assign photos with any number of labels to splits, rarest class first.

    A class can miss a split if its photos are few and show other classes too, so the caller has to check.

    Args:
        sha256s: Hash of each photo's bytes.
        labels: Class indices of each photo; none, one or several.
        shares: As for `assign_splits`, like the other arguments.
        seed: Seed; another one gives another split.
        groups: Group name of each photo, empty for none; None: no groups.

    Returns:
        The split of each photo, in the given order.
    """
    labels = [found or (_UNLABELED,) for found in labels]
    totals = Counter(label for found in labels for label in found)
    lacking = {label: Counter(_sizes(total, shares)) for label, total in totals.items()}
    room = Counter(_sizes(len(sha256s), shares))  # photos that each split still takes
    units = _units(sha256s, labels, groups, seed)

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


def _units(
    sha256s: Sequence[str], labels: Sequence[Sequence[int]], groups: Sequence[str] | None, seed: int
) -> list[_Unit]:
    """Join copies of a photo, and photos of one group, into units (union–find), and put them in order."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    names = groups if groups is not None else [""] * len(sha256s)
    keys = [f"group {name}" if name else sha256 for sha256, name in zip(sha256s, names, strict=True)]
    for key, sha256 in zip(keys, sha256s, strict=True):
        low, high = sorted((root(key), root(sha256)))
        parent[low] = high  # "group …" sorts after hashes, so a group names its unit
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        members[root(key)].append(index)
    units = [
        _Unit(name, tuple(found), Counter(label for index in found for label in labels[index]))
        for name, found in members.items()
    ]
    # Large units first, so that the single photos after them even out the numbers.
    return sorted(units, key=lambda unit: (-len(unit.indices), hashlib.sha256(f"{seed}:{unit.name}".encode()).digest()))


def _sizes(total: int, shares: Mapping[Split, float]) -> dict[Split, int]:
    """Return the number of photos that each split should get, train last."""
    sizes = {split: max(1, int(total * share + 0.5)) for split in SPLITS if (share := shares.get(split))}
    sizes["train"] = max(1, total - sum(sizes.values()))
    return sizes
