"""From photos to a data set: which of them can be read, and where each belongs.

Which photos there are is read by `trainer.data.formats`: from class folders, lists, or other programs' exports. Where
no split is given, they are split here: 7:2:1, or 6:2:2 under 1,000 photos. Where only ``train`` and ``test`` are given,
val is carved from train; where only ``train`` and ``val`` are given, val keeps deciding, as its name says, and test is
carved from train, because a split that decides can't measure. Where ``train`` stands alone, it is split as a whole.
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

_SMALL = 1000  # photos; below this, a tenth is too few to measure with
_CARVED = 0.15  # of train, for a split that isn't given


@dataclass(frozen=True)
class FoundPhoto:
    """A file that should be a picture.

    Attributes:
        path: Relative to the root, with forward slashes.
        labels: Names of its classes; several in a multi-label list.
        given: The split that its folder or list names, or None.
        facts: What is in it.
        group: What it must not be parted from, as the list says; empty: nothing.
    """

    path: str
    labels: tuple[str, ...]
    given: Split | None
    facts: ImageFacts
    group: str = ""

    @property
    def label(self) -> str:
        """Name of its class; of several, one text for all of them."""
        return " + ".join(self.labels)


@dataclass(frozen=True)
class Survey:
    """What there is, before anything is decided.

    Attributes:
        root: The folder that paths are relative to.
        kind: What was read, for people: ``"class folders"``.
        classes: Names of the classes for each given split; for ``None`` where no split is given.
        photos: All files that should be pictures, sorted by path.
        multi_label: Whether photos may show several classes.
    """

    root: Path
    kind: str
    classes: dict[Split | None, tuple[str, ...]]
    photos: tuple[FoundPhoto, ...]
    multi_label: bool = False

    @property
    def readable(self) -> tuple[FoundPhoto, ...]:
        """Those that can be decoded."""
        return tuple(photo for photo in self.photos if not photo.facts.unreadable)

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Path and reason."""
        return tuple((photo.path, photo.facts.unreadable) for photo in self.photos if photo.facts.unreadable)


def scan(source: str | Path, *, data: DataConfig, seed: int, least_classes: int = 2) -> Dataset:
    """Reads photos and splits them.

    Each file is hashed and checked for its header and its end; damage in its middle is found by `load_pixels`.

    Args:
        source: A folder or a list, as `trainer.data.formats` reads them.
        data: Shares of the splits, groups, and how many files may be unreadable.
        seed: Of the split.
        least_classes: That there must be: photos that are added to others may be of one class.

    Raises:
        DatasetError: The photos can't be trained on as they are.
    """
    return split_photos(survey(source), data=data, seed=seed, least_classes=least_classes)


def count_to_train_on(listing: Listing, data: DataConfig) -> int:
    """How many of the listed photos `scan` would split off to train on, within one of each class."""
    given = _as_whole(listing)
    count = sum(entry.given in (None, "train") for entry in listing.entries)
    return round(count * (1 - sum(_shares(data, given, count).values())))


def survey(source: str | Path, *, decode: bool = False) -> Survey:
    """Finds the pictures and looks at each, in parallel, with a progress bar.

    Args:
        source: A folder or a list.
        decode: Decode each picture as well, and measure it.

    Raises:
        DatasetError: There is no such source, or no picture in it.
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
    """Decides whether photos can be trained on, and where each belongs.

    Raises:
        DatasetError: They can't: too many are unreadable, there are too few classes, photos or groups.
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
        dealt = assign_multi_label_splits(hashes, shown, shares, seed=seed, groups=groups)
    else:
        dealt = assign_splits(hashes, [index[photo.label] for photo in pool], shares, seed=seed, groups=groups)
    if groups or found.multi_label:
        _check_reached(found.root, pool, dealt, groups, ("train", *shares))
    splits: dict[str, Split] = {photo.path: photo.given for photo in photos if photo.given}
    splits.update({photo.path: split for photo, split in zip(pool, dealt, strict=True)})
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
        named = "; ".join(f"{path}: {reason}" for path, reason in unreadable[:10])
        more = f"; and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
        raise DatasetError(
            f"Expected at most {allowed:.0%} unreadable files in {found.root}, got {len(unreadable)} of {total} "
            f"({named}{more}). Replace them or take them out."
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
                f"Expected the same classes in each split of {found.root}, but {' and '.join(lacks)}. "
                "Add photos of them there, or take the others out."
            )
    if len(first[1]) < least:
        raise DatasetError(
            f"Expected at least two classes in {found.root}, got one ({', '.join(first[1])}). "
            "Add photos of something else, for example of the background."
        )
    return first[1]


def _as_whole(found: Survey | Listing) -> tuple[Split, ...]:
    """The given splits; none where ``train`` stands alone."""
    given = tuple(split for split in found.classes if split)
    return () if given == ("train",) else given


def _shares(data: DataConfig, given: Sequence[Split], count: int) -> dict[Split, float]:
    """Shares to be carved: of all photos, or of the given train."""
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
            f"Expected data.val_fraction and data.test_fraction to leave something for train, got "
            f"{' and '.join(str(share) for share in shares.values())}."
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
    """Sees to it that each class reaches each split."""
    # A copy of a photo counts once: where copies have other labels, for those that it is dealt with.
    distinct: dict[str, tuple[str, ...]] = {}
    for photo in sorted(pool, key=lambda photo: photo.label):
        distinct.setdefault(photo.facts.sha256, photo.labels)
    counts = Counter(label for found in distinct.values() for label in found)
    for label in labels:
        if counts[label] < splits:
            parts = {1: "train", 2: "train and one carved from it", 3: "train, val and test"}[splits]
            raise DatasetError(
                f"Expected at least {splits} distinct readable photos of class {label} in {root} (for {parts}), got "
                f"{counts[label]}. Add photos, or take the class out."
            )
    present = {(photo.given, label) for photo in photos for label in photo.labels}
    for split in given:
        for label in labels:
            if (split, label) not in present:
                raise DatasetError(
                    f"Expected photos of class {label} in {split} of {root}, found none that can be read. "
                    "Add some, or take the class out."
                )


def _check_reached(
    root: Path,
    pool: Sequence[FoundPhoto],
    dealt: Sequence[Split],
    groups: Sequence[str] | None,
    splits: Sequence[Split],
) -> None:
    """Sees to it that each class reached each split although groups, or photos of several classes, were kept whole."""
    reached = {(label, split) for photo, split in zip(pool, dealt, strict=True) for label in photo.labels}
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
                    f"Expected photos of class {label} in each of {', '.join(splits)} with groups kept whole, but its "
                    f"groups ({len(parts[label])} in {root}) leave none for {split}. "
                    "Add photos of other sessions, or group by something finer with data.group."
                )
            raise DatasetError(
                f"Expected photos of class {label} in each of {', '.join(splits)}, but its {len(parts[label])} in "
                f"{root} leave none for {split}, as they show other classes too. Add some, or name each photo's split."
            )
