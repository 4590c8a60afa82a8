"""What every reader returns: photos by path, with their labels and splits."""

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
    """A listed photo that hasn't been opened yet.

    Attributes:
        path: Path relative to the listing's root, with forward slashes, or absolute.
        labels: Names of its classes: one, or several in a multi-label listing; none if it is unlabeled.
        given: Split given by the source, or None.
        group: Name of a group that a split keeps together, such as a capture session; empty: no group.
        facts: Facts about the picture that the source stores, as packed photos do; None: not known yet.
    """

    path: str
    labels: tuple[str, ...]
    given: Split | None = None
    group: str = ""
    facts: ImageFacts | None = None


@dataclass(frozen=True)
class Listing:
    """All photos of a source.

    Attributes:
        root: Folder that the paths are relative to.
        kind: Kind of source for display, such as ``"class folders"`` or ``"CSV list"``.
        classes: Class names of each given split, sorted; the key is None if no split is given.
        entries: The photos, sorted by path.
        multi_label: Whether photos can have several labels.
    """

    root: Path
    kind: str
    classes: dict[Split | None, tuple[str, ...]]
    entries: tuple[Entry, ...]
    multi_label: bool = False


@dataclass(frozen=True)
class Reader:
    """Reader of one kind of source.

    Attributes:
        fits: Tells whether a path is of this kind, opening as few files as possible.
        read: Lists the photos, or raises a DatasetError.
    """

    fits: Callable[[Path], bool]
    read: Callable[[Path], Listing]


def listing_from(root: Path, kind: str, entries: Sequence[Entry]) -> Listing:
    """Return a listing with the classes that its entries name."""
    classes: dict[Split | None, tuple[str, ...]] = {}
    for split in (None, *SPLITS):
        here = [entry for entry in entries if entry.given == split]
        if here:
            classes[split] = tuple(sorted({label for entry in here for label in entry.labels}))
    multi_label = any(len(entry.labels) > 1 for entry in entries)
    return Listing(root, kind, classes, tuple(sorted(entries, key=lambda entry: entry.path)), multi_label)


def split_named(name: str) -> Split | None:
    """Return the split for a common name such as ``"valid"``, or None."""
    return _SPLIT_NAMES.get(name.strip().lower())


def folders_in(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _is_hidden(entry.name))


def pictures_in(folder: Path) -> Iterator[Path]:
    """Yield picture files at any depth, by suffix, without hidden ones."""
    for current, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            if is_picture(name):
                yield Path(current, name)


def loose_pictures(folder: Path) -> list[Path]:
    """Return the picture files directly in a folder, sorted."""
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and is_picture(entry.name))


def is_picture(name: str) -> bool:
    """Return True if a file name has the suffix of a supported picture and isn't hidden."""
    return not _is_hidden(name) and name.lower().endswith(IMAGE_SUFFIXES)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"
