"""What every reader gives: photos by path, with what they show and where they belong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.data.images import IMAGE_SUFFIXES, ImageFacts
from trainer.types import SPLITS, Split

_SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Entry:
    """A photo that is listed; nobody has opened it yet.

    Attributes:
        path: Relative to the listing's root, with forward slashes, or absolute.
        labels: Names of its classes: one, or several in a multi-label listing; none where nobody has labelled it.
        given: The split that it is said to belong to, or None.
        group: What it must not be parted from in a split, for example its capture session; empty: nothing.
        facts: What is known of the picture without opening it, as a packed source tells; None: nothing.
    """

    path: str
    labels: tuple[str, ...]
    given: Split | None = None
    group: str = ""
    facts: ImageFacts | None = None


@dataclass(frozen=True)
class Listing:
    """All the photos of a source.

    Attributes:
        root: Folder that the paths are relative to.
        kind: What was read, for people: ``"class folders"``, ``"CSV list"``.
        classes: Names of the classes for each given split, sorted; for ``None`` where no split is given.
        entries: The photos, sorted by path.
        multi_label: Whether photos may show several classes.
    """

    root: Path
    kind: str
    classes: dict[Split | None, tuple[str, ...]]
    entries: tuple[Entry, ...]
    multi_label: bool = False


@dataclass(frozen=True)
class Reader:
    """One kind of source.

    Attributes:
        fits: Whether a path is of this kind; opens no more than it must.
        read: Its photos; raises a DatasetError.
    """

    fits: Callable[[Path], bool]
    read: Callable[[Path], Listing]


def listing_from(root: Path, kind: str, entries: Sequence[Entry]) -> Listing:
    """A listing whose classes are those that its entries name."""
    classes: dict[Split | None, tuple[str, ...]] = {}
    for split in (None, *SPLITS):
        here = [entry for entry in entries if entry.given == split]
        if here:
            classes[split] = tuple(sorted({label for entry in here for label in entry.labels}))
    multi_label = any(len(entry.labels) > 1 for entry in entries)
    return Listing(root, kind, classes, tuple(sorted(entries, key=lambda entry: entry.path)), multi_label)


def split_named(name: str) -> Split | None:
    """The split that a name of common use stands for, or None."""
    return _SPLIT_NAMES.get(name.strip().lower())


def folders_in(folder: Path) -> list[str]:
    """Names of a folder's own folders, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def pictures_in(folder: Path) -> Iterator[Path]:
    """Files at any depth that are called like pictures; hidden ones are passed over."""
    for current, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if is_picture(name):
                yield Path(current, name)


def loose_pictures(folder: Path) -> list[Path]:
    """Those that lie in the folder itself, sorted."""
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and is_picture(entry.name))


def is_picture(name: str) -> bool:
    """Whether a file is called like a picture that we read."""
    return not _is_hidden(name) and name.lower().endswith(IMAGE_SUFFIXES)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
