"""Class folders, in one of two layouts; pictures may lie deeper inside a class's folder.

PHOTOS/<class>/*                            no split given
PHOTOS/{train,val,test}/<class>/*           val may be called valid or validation
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.listing import Entry, Listing, Reader, folders_in, pictures_in
from trainer.data.images import IMAGE_SUFFIXES
from trainer.errors import DatasetError
from trainer.types import SPLITS, Split

# Fewer names than lists may use: a class may well be called "training".
_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def _fits(source: Path) -> bool:
    """Any folder."""
    return source.is_dir()


def read_folders(source: Path) -> Listing:
    """Reads the folders' names.

    Raises:
        DatasetError: No picture lies in a folder of its class.
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
    # An empty class folder is a class too: whoever made it should hear that it is empty.
    classes = {given: tuple(folders_in(folder)) for given, folder in split_folders}
    return Listing(source, "class folders", classes, tuple(entries))


def _split_folders(root: Path) -> list[tuple[Split | None, Path]]:
    """Returns the folders that hold class folders, each with the split that it stands for."""
    names = folders_in(root)
    splits = [name for name in names if name.lower() in _SPLIT_FOLDERS]
    # A class may be called "train": then its folder holds pictures, or stands beside classes of other names.
    if not splits or splits != names or not any(folders_in(root / name) for name in splits):
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


def _nothing_found(root: Path) -> str:
    loose = sum(1 for _ in pictures_in(root))
    layout = f"Lay them out as {root.name}/<class>/*.jpg, one folder a class."
    if loose:
        return f"Expected a folder for each class in {root}, got {loose} pictures outside of one. {layout}"
    suffixes = ", ".join(IMAGE_SUFFIXES)
    return f"Expected photos ({suffixes}) in {root}, found none. {layout}"


FOLDERS = Reader(_fits, read_folders)
