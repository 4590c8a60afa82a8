"""Teachable Machine projects (an unzipped ``.tm`` file): pictures named ``<class>-!-<number>.jpg``.

The ZIP files of single classes that it exports are class folders once unzipped.
"""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.listing import Entry, Listing, Reader, listing_from, loose_pictures

_MARK = "-!-"


def _fits(source: Path) -> bool:
    """Match a folder that directly contains such pictures."""
    return source.is_dir() and any(_MARK in file.name for file in loose_pictures(source))


def _read(source: Path) -> Listing:
    """List the pictures by name."""
    entries = [
        Entry(file.name, (file.name.rpartition(_MARK)[0],)) for file in loose_pictures(source) if _MARK in file.name
    ]
    return listing_from(source, "Teachable Machine project", entries)


TEACHABLE_MACHINE = Reader(_fits, _read)
