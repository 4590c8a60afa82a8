"""Roboflow exports for classification: class folders in train/valid/test, or a ``_classes.csv`` next to the pictures.

Roboflow names augmented versions after their original, ``<picture>_jpg.rf.<hash>.jpg``; a split keeps them together.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from trainer.data.formats.folders import read_folders
from trainer.data.formats.list_file import read_entries
from trainer.data.formats.listing import Entry, Listing, Reader, folders_in, listing_from, split_named

_TABLE = "_classes.csv"
_README = "README.roboflow.txt"


def _fits(source: Path) -> bool:
    """Match a folder with Roboflow's README, or with a table of classes in it or in its splits."""
    return source.is_dir() and ((source / _README).exists() or bool(_tables(source)))


def _read(source: Path) -> Listing:
    """Read an export.

    Raises:
        DatasetError: A table can't be read, or the folders contain no pictures.
    """
    tables = _tables(source)
    if not tables:
        found = read_folders(source)
        entries = tuple(replace(entry, group=_origin(entry)) for entry in found.entries)
        return replace(found, kind="Roboflow export", entries=entries)
    listed = []
    for table in tables:
        folder = table.parent.relative_to(source)
        given = split_named(folder.name)
        for entry in read_entries(table):
            moved = replace(entry, path=(folder / entry.path).as_posix(), given=given)
            listed.append(replace(moved, group=_origin(moved)))
    return listing_from(source, "Roboflow export", listed)


def _tables(source: Path) -> list[Path]:
    """Return the tables of classes in the folder itself, or in its split folders."""
    if (source / _TABLE).is_file():
        return [source / _TABLE]
    return [
        source / name / _TABLE
        for name in folders_in(source)
        if split_named(name) and (source / name / _TABLE).is_file()
    ]


def _origin(entry: Entry) -> str:
    """Return the name of the original picture, without its folder; empty for other names."""
    name = Path(entry.path).name
    return name.partition(".rf.")[0] if ".rf." in name else ""


ROBOFLOW = Reader(_fits, _read)
