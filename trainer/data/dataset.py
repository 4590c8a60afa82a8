"""From photos to a data set: which photos are readable, and which split each belongs to.

`trainer.data.formats` finds the photos in class folders, lists, or other programs' exports. Photos without a given
split are split here: 7:2:1, or 6:2:2 with fewer than 1,000. If only ``train`` and ``test`` are given, val is taken from
train. If only ``train`` and ``val`` are given, test is taken from train, because a split that decides can't measure.
If only ``train`` is given, all of it is split.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainer.config import DataConfig
from trainer.data.formats import find_photos
from trainer.data.formats.listing import Entry, Listing
from trainer.data.grouping import group_photos
from trainer.data.images import ImageFacts, inspect_image
from trainer.data.split import assign_multi_label_splits, assign_splits
from trainer.errors import DatasetError, RecipeError
from trainer.types import Dataset, Photo, Split

_SMALL = 1000  # photos; with fewer, a tenth is too small a test set
_CARVED = 0.15  # share of train for a split that isn't given


@dataclass(frozen=True)
class FoundPhoto:
    """A file that should be a picture.

    Attributes:
        path: Path relative to the root, with forward slashes.
        labels: Names of its classes; several in a multi-label list.
        given: Split given by its folder or list, or None.
        facts: What inspecting the file found.
        group: Name of the group that the list keeps together; empty: no group.
    """

    path: str
    labels: tuple[str, ...]
    given: Split | None
    facts: ImageFacts
    group: str = ""

    @property
    def label(self) -> str:
        """Name of its class; several names are joined by " + "."""
        return " + ".join(self.labels)


@dataclass(frozen=True)
class Survey:
    """The photos of a source, before they are split.

    Attributes:
        root: Folder that paths are relative to.
        kind: Kind of source for display, such as ``"class folders"``.
        classes: Class names of each given split; the key is None if no split is given.
        photos: All files that should be pictures, sorted by path.
        multi_label: Whether photos can have several labels.
    """

    root: Path
    kind: str
    classes: dict[Split | None, tuple[str, ...]]
    photos: tuple[FoundPhoto, ...]
    multi_label: bool = False

    @property
    def readable(self) -> tuple[FoundPhoto, ...]:
        """Photos that can be decoded."""
        return tuple(photo for photo in self.photos if not photo.facts.unreadable)

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Path and reason of each unreadable file."""
        return tuple((photo.path, photo.facts.unreadable) for photo in self.photos if photo.facts.unreadable)


def scan(source: str | Path, *, data: DataConfig, seed: int, least_classes: int = 2) -> Dataset:
    """Find, inspect and split photos.

    Each file is hashed, and its header and end are checked; `load_pixels` finds damage in between.

    Args:
        source: Folder or list, in any format of `trainer.data.formats`.
        data: Shares of the splits, grouping, and the share of files that may be unreadable.
        seed: Seed of the split.
        least_classes: Minimum number of classes; photos added to an existing model may be of one class.

    Raises:
        DatasetError: The photos can't be trained on as they are.
    """
    return split_photos(survey(source), data=data, seed=seed, least_classes=least_classes)


def count_to_train_on(listing: Listing, data: DataConfig) -> int:
    """Estimate the number of training photos that `scan` would return, within one per class."""
    given = _as_whole(listing)
    count = sum(entry.given in (None, "train") for entry in listing.entries)
    return round(count * (1 - sum(_shares(data, given, count).values())))


def survey(source: str | Path, *, decode: bool = False) -> Survey:
    """Find photos and inspect them in parallel, with a progress bar.

    Args:
        source: Folder or list, in any format of `trainer.data.formats`.
        decode: If True, also decode and measure each picture.

    Raises:
        DatasetError: The source doesn't exist or holds no pictures.
    """
    from tqdm import tqdm

    found = find_photos(source)

    def look(entry: Entry) -> ImageFacts:
        return entry.facts or inspect_image(found.root / entry.path, decode=decode)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks, total = pool.map(look, found.entries), len(found.entries)
        facts = list(tqdm(looks, desc="Reading photos", total=total, unit=" photos", delay=0.5, leave=False))
    if not found.multi_label:
        facts = [
            fact if entry.labels else ImageFacts(fact.sha256, 0, 0, fact.unreadable or "a photo without a label")
            for entry, fact in zip(found.entries, facts, strict=True)
        ]
    return Survey(
        root=found.root,
        kind=found.kind,
        classes=found.classes,
        photos=tuple(
            FoundPhoto(entry.path, entry.labels, entry.given, fact, entry.group)
            for entry, fact in zip(found.entries, facts, strict=True)
        ),
        multi_label=found.multi_label,
    )


def split_photos(found: Survey, *, data: DataConfig, seed: int, least_classes: int = 2) -> Dataset:
    """Check that photos can be trained on, and assign each to a split.

    Args:
        found: The photos.
        data: Shares of the splits, grouping, and the share of files that may be unreadable.
        seed: Seed of the split.
        least_classes: Minimum number of classes.

    Raises:
        DatasetError: Too many photos are unreadable, or there are too few classes, photos or groups.
    """
    _check_unreadable(found, data.max_unreadable)
    labels = _common_classes(found, least_classes)
    photos = found.readable
    given = _as_whole(found)
    shares = _shares(data, given, len(photos))
    pool = [photo for photo in photos if photo.given in (None, "train")]
    _check_enough(found.root, labels, pool, photos, given, splits=1 + len(shares))
    groups = group_photos(found.root, pool, data.group)
    index = {label: number for number, label in enumerate(labels)}
    hashes = [photo.facts.sha256 for photo in pool]
    if found.multi_label:
        shown = [[index[label] for label in photo.labels] for photo in pool]
        assigned = assign_multi_label_splits(hashes, shown, shares, seed=seed, groups=groups)
    else:
        assigned = assign_splits(hashes, [index[photo.label] for photo in pool], shares, seed=seed, groups=groups)
    if groups or found.multi_label:
        _check_reached(found.root, pool, assigned, groups, ("train", *shares))
    splits: dict[str, Split] = {photo.path: photo.given for photo in photos if photo.given}
    splits.update({photo.path: split for photo, split in zip(pool, assigned, strict=True)})
    return Dataset(
        root=found.root,
        labels=labels,
        photos=tuple(_photo(photo, index, splits[photo.path], found.multi_label) for photo in photos),
        unreadable=found.unreadable,
        given_split=bool(given),
        multi_label=found.multi_label,
    )


def _photo(found: FoundPhoto, index: dict[str, int], split: Split, multi_label: bool) -> Photo:
    classes = tuple(sorted(index[label] for label in found.labels))
    first = classes[0] if classes else -1
    return Photo(found.path, first, split, found.facts.sha256, classes if multi_label else None)


def _check_unreadable(found: Survey, allowed: float) -> None:
    unreadable, total = found.unreadable, len(found.photos)
    if len(unreadable) > allowed * total:
        named = "; ".join(f"{path}: {reason}" for path, reason in unreadable[:5])
        more = f"; and {len(unreadable) - 5} more" if len(unreadable) > 5 else ""
        raise DatasetError(
            f"{len(unreadable)} of {total} files in {found.root} are unreadable (at most {allowed:.0%} may be): "
            f"{named}{more}. Replace or remove them, or raise data.max_unreadable."
        )


def _common_classes(found: Survey, least: int) -> tuple[str, ...]:
    first, *others = found.classes.items()
    for split, classes in others:
        missing = sorted(set(first[1]) - set(classes))
        extra = sorted(set(classes) - set(first[1]))
        if missing or extra:
            lacks = [f"{split} lacks {', '.join(missing)}"] if missing else []
            lacks += [f"{first[0]} lacks {', '.join(extra)}"] if extra else []
            raise DatasetError(
                f"The splits of {found.root} have different classes: {' and '.join(lacks)}. "
                "Add photos of the missing classes, or remove these classes from the other splits."
            )
    if len(first[1]) < least:
        raise DatasetError(
            f"At least two classes are needed, but {found.root} has only {', '.join(first[1]) or 'unlabeled photos'}. "
            "Add photos of another class, for example of the background."
        )
    return first[1]


def _as_whole(found: Survey | Listing) -> tuple[Split, ...]:
    """Return the given splits; none if ``train`` is the only one."""
    given = tuple(split for split in found.classes if split)
    return () if given == ("train",) else given


def _shares(data: DataConfig, given: Sequence[Split], count: int) -> dict[Split, float]:
    """Return the shares of the splits to make: of all photos, or of the given train split."""
    if given:
        shares: dict[Split, float] = {"val": data.val_fraction or _CARVED, "test": data.test_fraction or _CARVED}
        shares = {split: share for split, share in shares.items() if split not in given}
    else:
        shares = {
            "val": data.val_fraction or 0.2,
            "test": data.test_fraction or (0.2 if count < _SMALL else 0.1),
        }
    if sum(shares.values()) >= 1:
        raise RecipeError(
            f"data.val_fraction and data.test_fraction ({' + '.join(map(str, shares.values()))}) leave no photos for "
            "training. Lower them."
        )
    return shares


def _check_enough(
    root: Path,
    labels: Sequence[str],
    pool: Sequence[FoundPhoto],
    photos: Sequence[FoundPhoto],
    given: Sequence[Split],
    *,
    splits: int,
) -> None:
    """Check that each class has enough photos for each split."""
    # Copies of a photo go to the same split, so they count once, for the labels of the first one.
    distinct: dict[str, tuple[str, ...]] = {}
    for photo in sorted(pool, key=lambda photo: photo.label):
        distinct.setdefault(photo.facts.sha256, photo.labels)
    counts = Counter(label for found in distinct.values() for label in found)
    for label in labels:
        if counts[label] < splits:
            parts = {1: "for train", 2: "for train and a split taken from it", 3: "for train, val and test"}[splits]
            raise DatasetError(
                f"Class {label} has too few photos in {root}: {counts[label]} readable and distinct, but at least "
                f"{splits} are needed, {parts}. Add photos, or remove the class."
            )
    present = {(photo.given, label) for photo in photos for label in photo.labels}
    for split in given:
        for label in labels:
            if (split, label) not in present:
                raise DatasetError(
                    f"Class {label} has no readable photos in the {split} split of {root}. "
                    "Add some, or remove the class from all splits."
                )


def _check_reached(
    root: Path,
    pool: Sequence[FoundPhoto],
    assigned: Sequence[Split],
    groups: Sequence[str] | None,
    splits: Sequence[Split],
) -> None:
    """Check that each class reached each split; large groups or photos of several classes can prevent it."""
    reached = {(label, split) for photo, split in zip(pool, assigned, strict=True) for label in photo.labels}
    parts: dict[str, set[str]] = defaultdict(set)
    for photo, group in zip(pool, groups or [""] * len(pool), strict=True):
        for label in photo.labels:
            parts[label].add(group or photo.facts.sha256)
    for label in sorted(parts):
        for split in splits:
            if (label, split) in reached:
                continue
            if groups:
                raise DatasetError(
                    f"Class {label} has too few groups in {root} ({len(parts[label])}) for {', '.join(splits)}: none "
                    f"is left for {split}. Add photos from other sessions, or use smaller groups with data.group."
                )
            raise DatasetError(
                f"Class {label} has too few photos in {root} ({len(parts[label])}) for {', '.join(splits)}: they show "
                f"other classes too, and none is left for {split}. Add photos, or give each photo's split in the list."
            )
