"""From a folder to a data set: which photos there are, which of them can be read, and where each belongs.

The folder is laid out in one of two ways; pictures may lie deeper inside a class's folder, hidden files and files
with other suffixes are passed over.

    PHOTOS/<class>/*                            split here: 7:2:1, or 6:2:2 under 1,000 photos
    PHOTOS/{train,val,test}/<class>/*           taken as given; val may be called valid or validation

Where only ``train`` and ``test`` are given, val is carved from train; where only ``train`` and ``val`` are given,
val keeps deciding, as its name says, and test is carved from train, because a split that decides can't measure.
Where ``train`` stands alone, it is split like a folder of classes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from trainer.config import DataConfig
from trainer.errors import DatasetError, RecipeError
from trainer.images import IMAGE_SUFFIXES, ImageFacts, inspect_image
from trainer.split import assign_splits
from trainer.types import SPLITS, Dataset, Photo, Split

_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}
_SMALL = 1000  # photos; below this, a tenth is too few to measure with
_CARVED = 0.15  # of train, for a split that isn't given


@dataclass(frozen=True)
class FoundPhoto:
    """A file that should be a picture.

    Attributes:
        path: Relative to the folder, with forward slashes.
        label: Name of its class.
        given: The split that its folder names, or None.
        facts: What is in it.
    """

    path: str
    label: str
    given: Split | None
    facts: ImageFacts


@dataclass(frozen=True)
class Survey:
    """What a folder holds, before anything is decided.

    Attributes:
        root: The folder.
        classes: Folder names of the classes for each given split; for ``None`` where no split is given.
        photos: All files that should be pictures, sorted by path.
    """

    root: Path
    classes: dict[Split | None, tuple[str, ...]]
    photos: tuple[FoundPhoto, ...]

    @property
    def readable(self) -> tuple[FoundPhoto, ...]:
        """Those that can be decoded."""
        return tuple(photo for photo in self.photos if not photo.facts.unreadable)

    @property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Path and reason."""
        return tuple((photo.path, photo.facts.unreadable) for photo in self.photos if photo.facts.unreadable)


def scan(root: str | Path, *, data: DataConfig, seed: int) -> Dataset:
    """Reads a folder of photos and splits it.

    Each file is hashed and checked for its header and its end; damage in its middle is found by `load_pixels`.

    Args:
        root: The folder, laid out as this module says.
        data: Shares of the splits, and how many files may be unreadable.
        seed: Of the split.

    Raises:
        DatasetError: The photos can't be trained on as they are.
    """
    return split_photos(survey(root), data=data, seed=seed)


def survey(root: str | Path, *, decode: bool = False) -> Survey:
    """Finds the pictures of a folder and looks at each, in parallel, with a progress bar.

    Args:
        root: The folder.
        decode: Decode each picture as well.

    Raises:
        DatasetError: There is no such folder, or no picture in it.
    """
    from tqdm import tqdm

    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"Expected a folder of photos, got {root}, which is no folder. Check the path.")
    folders = _class_folders(root)
    files = sorted(
        (file.relative_to(root).as_posix(), label, given, file)
        for given, folder in folders
        for label in _folders(folder)
        for file in _pictures(folder / label)
    )
    if not files:
        raise DatasetError(_nothing_found(root))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(lambda file: inspect_image(file[3], decode=decode), files)
        facts = list(tqdm(looks, desc="Reading photos", total=len(files), unit=" photos", delay=0.5, leave=False))
    return Survey(
        root=root,
        classes={given: tuple(_folders(folder)) for given, folder in folders},
        photos=tuple(
            FoundPhoto(path, label, given, fact) for (path, label, given, _), fact in zip(files, facts, strict=True)
        ),
    )


def split_photos(found: Survey, *, data: DataConfig, seed: int) -> Dataset:
    """Decides whether a folder can be trained on, and where each photo belongs.

    Raises:
        DatasetError: It can't: too many files are unreadable, or there are too few classes or photos.
    """
    _check_unreadable(found, data.max_unreadable)
    labels = _common_classes(found)
    photos = found.readable
    given = _as_whole(found)
    shares = _shares(data, given, len(photos))
    pool = [photo for photo in photos if photo.given in (None, "train")]
    _check_enough(found.root, labels, pool, photos, given, splits=1 + len(shares))
    dealt = assign_splits(
        [photo.facts.sha256 for photo in pool], [labels.index(photo.label) for photo in pool], shares, seed=seed
    )
    splits: dict[str, Split] = {photo.path: photo.given for photo in photos if photo.given}
    splits.update({photo.path: split for photo, split in zip(pool, dealt, strict=True)})
    return Dataset(
        root=found.root,
        labels=labels,
        photos=tuple(
            Photo(photo.path, labels.index(photo.label), splits[photo.path], photo.facts.sha256) for photo in photos
        ),
        unreadable=found.unreadable,
        given_split=bool(given),
    )


def _class_folders(root: Path) -> list[tuple[Split | None, Path]]:
    """Returns the folders that hold class folders, each with the split that it stands for."""
    names = _folders(root)
    splits = [name for name in names if name.lower() in _SPLIT_FOLDERS]
    # A class may be called "train": then its folder holds pictures, or stands beside classes of other names.
    if not splits or splits != names or not any(_folders(root / name) for name in splits):
        return [(None, root)]
    by_split: dict[Split, str] = {}
    for name in splits:
        split = _SPLIT_FOLDERS[name.lower()]
        if split in by_split:
            raise DatasetError(
                f"Expected one folder for {split} in {root}, got {by_split[split]} and {name}. Put them together."
            )
        by_split[split] = name
    if "train" not in by_split:
        raise DatasetError(
            f"Expected a folder train in {root} beside {' and '.join(splits)}. Add it, or lay the photos out as "
            f"{root.name}/<class>/*."
        )
    return [(split, root / by_split[split]) for split in SPLITS if split in by_split]


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def _pictures(folder: Path) -> Iterable[Path]:
    for current, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if not _is_hidden(name) and name.lower().endswith(IMAGE_SUFFIXES):
                yield Path(current, name)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _nothing_found(root: Path) -> str:
    loose = sum(1 for _ in _pictures(root))
    layout = f"Lay them out as {root.name}/<class>/*.jpg, one folder a class."
    if loose:
        return f"Expected a folder for each class in {root}, got {loose} pictures outside of one. {layout}"
    suffixes = ", ".join(IMAGE_SUFFIXES)
    return f"Expected photos ({suffixes}) in {root}, found none. {layout}"


def _check_unreadable(found: Survey, allowed: float) -> None:
    unreadable, total = found.unreadable, len(found.photos)
    if len(unreadable) > allowed * total:
        named = "; ".join(f"{path}: {reason}" for path, reason in unreadable[:10])
        more = f"; and {len(unreadable) - 10} more" if len(unreadable) > 10 else ""
        raise DatasetError(
            f"Expected at most {allowed:.0%} unreadable files in {found.root}, got {len(unreadable)} of {total} "
            f"({named}{more}). Replace them or take them out."
        )


def _common_classes(found: Survey) -> tuple[str, ...]:
    first, *others = found.classes.items()
    for split, classes in others:
        missing = sorted(set(first[1]) - set(classes))
        extra = sorted(set(classes) - set(first[1]))
        if missing or extra:
            lacks = [f"{split} lacks {', '.join(missing)}"] if missing else []
            lacks += [f"{first[0]} lacks {', '.join(extra)}"] if extra else []
            raise DatasetError(
                f"Expected the same classes in each split of {found.root}, but {' and '.join(lacks)}. "
                "Add the missing folders with photos, or take the others out."
            )
    if len(first[1]) < 2:
        raise DatasetError(
            f"Expected at least two classes in {found.root}, got one ({', '.join(first[1])}). "
            "Add a folder with photos of something else, for example background."
        )
    return first[1]


def _as_whole(found: Survey) -> tuple[Split, ...]:
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
    distinct: dict[str, str] = {}  # a photo that lies in several classes counts for the one that it is dealt with
    for photo in sorted(pool, key=lambda photo: photo.label):
        distinct.setdefault(photo.facts.sha256, photo.label)
    counts = Counter(distinct.values())
    for label in labels:
        if counts[label] < splits:
            parts = {1: "train", 2: "train and one carved from it", 3: "train, val and test"}[splits]
            raise DatasetError(
                f"Expected at least {splits} distinct readable photos of class {label} in {root} (for {parts}), got "
                f"{counts[label]}. Add photos, or take the class out."
            )
    present = {(photo.given, photo.label) for photo in photos}
    for split in given:
        for label in labels:
            if (split, label) not in present:
                raise DatasetError(
                    f"Expected photos of class {label} in {split} of {root}, found none that can be read. "
                    "Add some, or take the class out."
                )
