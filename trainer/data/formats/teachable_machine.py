"""Teachable Machine's project (a ``.tm`` file, unzipped): pictures called ``<class>-!-<number>.jpg``.

The samples of single classes that it exports as ZIP files are class folders once they are unzipped.
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.listing import Entry, Listing, Reader, listing_from, loose_pictures

_MARK = "-!-"


def _fits(source: Path) -> bool:
    """A folder with such pictures in itself."""
    return source.is_dir() and any(_MARK in file.name for file in loose_pictures(source))


def _read(source: Path) -> Listing:
    """Reads the pictures' names."""
    entries = [
        Entry(file.name, (file.name.rpartition(_MARK)[0],)) for file in loose_pictures(source) if _MARK in file.name
    ]
    return listing_from(source, "Teachable Machine project", entries)


TEACHABLE_MACHINE = Reader(_fits, _read)
