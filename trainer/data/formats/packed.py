"""Packed photos, as ``edge-trainer pack`` writes them: the index alone is read, no picture."""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.listing import Entry, Listing, Reader
from trainer.data.shards import is_packed, read_index
from trainer.errors import DatasetError
from trainer.storage import address


def _read(source: Path) -> Listing:
    """Reads the index.

    Raises:
        DatasetError: A file is missing, or isn't what the index says.
    """
    index = read_index(source)
    entries = tuple(Entry(photo.path, photo.labels, photo.split, photo.group, photo.facts) for photo in index.photos)
    return Listing(source, "packed photos", index.classes, entries, index.multi_label)


def require_files(source: str | Path, to: str) -> None:
    """Raises a DatasetError where photos are packed that are wanted as files, to do something with them."""
    if is_packed(Path(source)):
        raise DatasetError(
            f"Expected photos as files, to {to} them, got packed ones in {address(Path(source))}. "
            "Name what they were packed from."
        )


PACKED = Reader(is_packed, _read)
