"""The laws of the split of photos with several labels: each class in its shares, copies and groups together."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.split import assign_multi_label_splits

SHARES = {"val": 0.2, "test": 0.1}


def hashes(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


def drawn(count: int, seed: int) -> list[list[int]]:
    """Five classes, ever rarer, some of them together and some photos with none."""
    rng = random.Random(seed)
    return [[label for label in range(5) if rng.random() < 0.5 / (label + 1)] for _ in range(count)]


@settings(max_examples=20)
@given(seed=st.integers(0, 99))
def test_each_class_is_dealt_in_the_shares_asked_for(seed: int) -> None:
    labels = drawn(400, seed)
    splits = assign_multi_label_splits(hashes(400), labels, SHARES, seed=seed)
    sizes = Counter(splits)
    assert abs(sizes["val"] - 80) <= 12
    assert abs(sizes["test"] - 40) <= 12
    for label in (*range(5), None):
        counts = Counter(
            split
            for split, shown in zip(splits, labels, strict=True)
            if label in shown or (label is None and not shown)
        )
        for split, share in SHARES.items():
            assert abs(counts[split] - share * sum(counts.values())) <= 3


@settings(max_examples=20)
@given(seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
def test_the_order_of_the_photos_has_no_meaning(seed: int, order: random.Random) -> None:
    photos = list(zip(hashes(60), drawn(60, seed), strict=True))
    dealt = dict(zip(hashes(60), assign_multi_label_splits(*zip(*photos, strict=True), SHARES, seed=0), strict=True))
    order.shuffle(photos)
    names, labels = zip(*photos, strict=True)
    assert assign_multi_label_splits(names, labels, SHARES, seed=0) == [dealt[name] for name in names]


def test_copies_and_groups_stay_together() -> None:
    names, labels = hashes(60), drawn(60, 1)
    names[1] = names[0]
    groups = ["walk" if 10 <= number < 20 else "" for number in range(60)]
    splits = assign_multi_label_splits(names, labels, SHARES, seed=0, groups=groups)
    assert splits[0] == splits[1]
    assert len(set(splits[10:20])) == 1


def test_a_rare_class_reaches_each_split() -> None:
    labels = [[0], [0, 1], [1, 2], [2, 0], *([[1]] * 20), *([[0, 1]] * 20), [2]]
    splits = assign_multi_label_splits(hashes(len(labels)), labels, SHARES, seed=0)
    assert {split for split, shown in zip(splits, labels, strict=True) if 2 in shown} == {"train", "val", "test"}
