"""The split: every photo once, stratified, seeded, copies and groups together, independent of the order."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data.split import assign_multi_label_splits, assign_splits

SHARES = {"val": 0.2, "test": 0.1}


def _hashes(count: int) -> list[str]:
    return [hashlib.sha256(str(number).encode()).hexdigest() for number in range(count)]


class_sizes = st.lists(st.integers(3, 60), min_size=2, max_size=5)
shares = st.fixed_dictionaries({"val": st.floats(0.05, 0.4), "test": st.floats(0.05, 0.4)})


@given(sizes=class_sizes, shares=shares, seed=st.integers(0, 99))
def test_each_class_is_dealt_in_the_shares_asked_for(sizes, shares, seed):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    splits = assign_splits(_hashes(len(labels)), labels, shares, seed=seed)
    for label, size in enumerate(sizes):
        counts = Counter(split for split, other in zip(splits, labels, strict=True) if other == label)
        assert sum(counts.values()) == size
        assert set(counts) == {"train", "val", "test"}
        if size >= 6:  # below, one photo for each split is what decides
            for name, share in shares.items():
                assert abs(counts[name] - size * share) <= 1


@given(sizes=class_sizes, seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
def test_the_order_of_the_photos_has_no_meaning(sizes, seed, order: random.Random):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    photos = list(zip(_hashes(len(labels)), labels, strict=True))
    expected = dict(zip(photos, assign_splits(*zip(*photos, strict=True), SHARES, seed=seed), strict=True))
    order.shuffle(photos)
    assert dict(zip(photos, assign_splits(*zip(*photos, strict=True), SHARES, seed=seed), strict=True)) == expected


@given(copies=st.lists(st.integers(1, 6), min_size=3, max_size=30), seed=st.integers(0, 99))
def test_copies_stay_on_one_side_and_each_split_gets_photos(copies, seed):
    names = _hashes(len(copies))
    sha256s = [name for name, count in zip(names, copies, strict=True) for _ in range(count)]
    splits = assign_splits(sha256s, [0] * len(sha256s), SHARES, seed=seed)
    sides: dict[str, set[str]] = {}
    for sha256, split in zip(sha256s, splits, strict=True):
        sides.setdefault(sha256, set()).add(split)
    assert all(len(side) == 1 for side in sides.values())
    assert set(splits) == {"train", "val", "test"}
    assert abs(splits.count("test") - 0.1 * len(splits)) <= max(copies)


def test_copies_in_two_classes_stay_on_one_side():
    shared = _hashes(40)
    splits = assign_splits(shared * 2, [0] * 40 + [1] * 40, SHARES, seed=0)
    assert splits[:40] == splits[40:]


def test_another_seed_gives_another_split_of_the_same_sizes():
    first = assign_splits(_hashes(100), [0] * 100, SHARES, seed=0)
    second = assign_splits(_hashes(100), [0] * 100, SHARES, seed=1)
    assert first != second
    assert Counter(first) == Counter(second) == {"train": 70, "val": 20, "test": 10}


def test_a_few_more_photos_move_few_of_the_others():
    before = assign_splits(_hashes(500), [0] * 500, SHARES, seed=0)
    after = assign_splits(_hashes(510), [0] * 510, SHARES, seed=0)
    assert sum(one != other for one, other in zip(before, after, strict=False)) <= 30


def test_the_split_is_the_same_on_every_machine():
    splits = assign_splits(_hashes(12), [0] * 12, SHARES, seed=0)
    assert "".join(split[1] for split in splits) == "rrrrrerraarr"  # tRain, vAl, tEst


sessions = st.lists(
    st.tuples(st.integers(1, 8), st.lists(st.integers(0, 2), min_size=1, max_size=3)), min_size=3, max_size=25
)


def _session_photos(sessions) -> tuple[list[str], list[int], list[str]]:
    """Hash, class and group of each photo; every fourth session has no group."""
    rows = [
        (label, f"session {number}" if number % 4 else "")
        for number, (size, classes) in enumerate(sessions)
        for label in classes
        for _ in range(size)
    ]
    return _hashes(len(rows)), [label for label, _ in rows], [group for _, group in rows]


@given(sessions=sessions, shares=shares, seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
def test_groups_are_whole_whatever_the_order(sessions, shares, seed, order: random.Random):
    photos = list(zip(*_session_photos(sessions), strict=True))

    def split(photos):
        sha256s, labels, groups = zip(*photos, strict=True)
        return dict(zip(photos, assign_splits(sha256s, labels, shares, seed=seed, groups=groups), strict=True))

    splits = split(photos)
    places: dict[str, set[str]] = {}
    for (_, _, group), where in splits.items():
        places.setdefault(group, set()).add(where)
    assert all(len(where) == 1 for group, where in places.items() if group)
    order.shuffle(photos)
    assert split(photos) == splits


@given(count=st.integers(20, 60), size=st.integers(1, 6), seed=st.integers(0, 99))
def test_groups_are_dealt_in_the_shares_asked_for(count, size, seed):
    labels = [label for _ in range(count) for label in (0, 1) for _ in range(size)]
    groups = [f"{number}" for number in range(count) for _ in range(2 * size)]
    splits = assign_splits(_hashes(len(labels)), labels, SHARES, seed=seed, groups=groups)
    for label in (0, 1):
        counts = Counter(split for split, other in zip(splits, labels, strict=True) if other == label)
        for name, share in SHARES.items():
            assert abs(counts[name] - count * size * share) <= size


@given(classes=st.integers(1, 5), more=st.integers(0, 5), seed=st.integers(0, 99))
def test_few_large_groups_still_reach_each_split(classes, more, seed):
    labels = [label for label in range(classes) for _ in range(10 * (3 + more))]
    groups = [f"{index // 10}" for index in range(len(labels))]
    splits = assign_splits(_hashes(len(labels)), labels, SHARES, seed=seed, groups=groups)
    assert {(label, split) for label, split in zip(labels, splits, strict=True)} == {
        (label, split) for label in range(classes) for split in ("train", "val", "test")
    }


def test_photos_without_a_group_are_split_as_ever():
    labels = [0] * 50 + [1] * 50
    plain = assign_splits(_hashes(100), labels, SHARES, seed=0)
    assert assign_splits(_hashes(100), labels, SHARES, seed=0, groups=[""] * 100) == plain


def test_a_photo_more_in_a_group_moves_few_of_the_other_groups():
    groups = [f"session {number}" for number in range(30) for _ in range(4)]
    before = assign_splits(_hashes(120), [0] * 120, SHARES, seed=0, groups=groups)
    after = assign_splits(_hashes(121), [0] * 121, SHARES, seed=0, groups=[*groups, "session 7"])
    assert sum(one != other for one, other in zip(before, after, strict=False)) <= 24


def test_a_copy_joins_two_groups():
    hashes = [*_hashes(30), _hashes(1)[0]]
    groups = [f"{number // 3}" for number in range(30)] + ["9"]
    splits = assign_splits(hashes, [0] * 31, SHARES, seed=0, groups=groups)
    assert len({split for split, group in zip(splits, groups, strict=True) if group in ("0", "9")}) == 1


def _drawn(count: int, seed: int) -> list[list[int]]:
    """Labels of five classes of falling frequency; some photos have several, some none."""
    rng = random.Random(seed)
    return [[label for label in range(5) if rng.random() < 0.5 / (label + 1)] for _ in range(count)]


@settings(max_examples=20)
@given(seed=st.integers(0, 99))
def test_each_label_is_dealt_in_the_shares_asked_for(seed: int) -> None:
    labels = _drawn(400, seed)
    splits = assign_multi_label_splits(_hashes(400), labels, SHARES, seed=seed)
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
def test_the_order_of_multi_label_photos_has_no_meaning(seed: int, order: random.Random) -> None:
    photos = list(zip(_hashes(60), _drawn(60, seed), strict=True))
    dealt = dict(zip(_hashes(60), assign_multi_label_splits(*zip(*photos, strict=True), SHARES, seed=0), strict=True))
    order.shuffle(photos)
    names, labels = zip(*photos, strict=True)
    assert assign_multi_label_splits(names, labels, SHARES, seed=0) == [dealt[name] for name in names]


def test_copies_and_groups_of_multi_label_photos_stay_together() -> None:
    names, labels = _hashes(60), _drawn(60, 1)
    names[1] = names[0]
    groups = ["walk" if 10 <= number < 20 else "" for number in range(60)]
    splits = assign_multi_label_splits(names, labels, SHARES, seed=0, groups=groups)
    assert splits[0] == splits[1]
    assert len(set(splits[10:20])) == 1


def test_a_rare_label_reaches_each_split() -> None:
    labels = [[0], [0, 1], [1, 2], [2, 0], *([[1]] * 20), *([[0, 1]] * 20), [2]]
    splits = assign_multi_label_splits(_hashes(len(labels)), labels, SHARES, seed=0)
    assert {split for split, shown in zip(splits, labels, strict=True) if 2 in shown} == {"train", "val", "test"}
