"""Class folders, in one of two layouts; a class folder may have subfolders.

PHOTOS/<class>/*                            without splits
PHOTOS/{train,val,test}/<class>/*           with splits; val may be named valid or validation
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.listing import Entry, Listing, Reader, folders_in, pictures_in
from trainer.data.images import IMAGE_SUFFIXES
from trainer.errors import DatasetError
from trainer.types import SPLITS, Split

# Fewer names than in lists, because a class may be named "training".
_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def _fits(source: Path) -> bool:
    """Match any folder."""
    return source.is_dir()


def read_folders(source: Path) -> Listing:
    """List the pictures in the class folders of a folder.

    Raises:
        DatasetError: There are no pictures in class folders, or the split folders are incomplete.
    """
    split_folders = _split_folders(source)
    entries = sorted(
        (
            Entry(file.relative_to(source).as_posix(), (label,), given)
            for given, folder in split_folders
            for label in folders_in(folder)
            for file in pictures_in(folder / label)
        ),
        key=lambda entry: entry.path,
    )
    if not entries:
        raise DatasetError(_nothing_found(source))
    # Empty class folders are kept, so that a later check reports them.
    classes = {given: tuple(folders_in(folder)) for given, folder in split_folders}
    return Listing(source, "class folders", classes, tuple(entries))


def _split_folders(root: Path) -> list[tuple[Split | None, Path]]:
    """Return the folders that contain class folders, each with its split."""
    names = folders_in(root)
    splits = [name for name in names if name.lower() in _SPLIT_FOLDERS]
    # A class may be named "train": then the folder holds pictures, or has classes of other names next to it.
    if not splits or splits != names or not any(folders_in(root / name) for name in splits):
        return [(None, root)]
    by_split: dict[Split, str] = {}
    for name in splits:
        split = _SPLIT_FOLDERS[name.lower()]
        if split in by_split:
            raise DatasetError(
                f"{root} has two folders for the {split} split: {by_split[split]} and {name}. Merge them."
            )
        by_split[split] = name
    if "train" not in by_split:
        raise DatasetError(
            f"{root} has split folders ({', '.join(splits)}) but no train folder. Add one, or arrange the photos as "
            f"{root / 'CLASS'}/*.jpg to have them split."
        )
    return [(split, root / by_split[split]) for split in SPLITS if split in by_split]


def _nothing_found(root: Path) -> str:
    loose = sum(1 for _ in pictures_in(root))
    layout = f"Arrange photos as {root / 'CLASS'}/*.jpg, one folder per class"
    if loose:
        return f"{root} has no class folders: its pictures ({loose}) aren't sorted by class. {layout}."
    return f"No photos ({', '.join(IMAGE_SUFFIXES)}) found in {root}. {layout}, and convert other formats first."


FOLDERS = Reader(_fits, read_folders)
