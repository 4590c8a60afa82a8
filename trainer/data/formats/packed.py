"""Packed photos, as written by ``edge-trainer pack``; only the index is read, no pictures."""

from __future__ import annotations

from pathlib import Path

from trainer.data.formats.listing import Entry, Listing, Reader
from trainer.data.shards import is_packed, read_index
from trainer.errors import DatasetError
from trainer.storage import address


def _read(source: Path) -> Listing:
    """Read the index.

    Raises:
        DatasetError: A file is missing or doesn't match the index.
    """
    index = read_index(source)
    entries = tuple(Entry(photo.path, photo.labels, photo.split, photo.group, photo.facts) for photo in index.photos)
    return Listing(source, "packed photos", index.classes, entries, index.multi_label)


def require_files(source: str | Path, to: str) -> None:
    """Check that photos are files rather than packed; ``to`` is a verb phrase for the error, such as "check".

    Raises:
        DatasetError: The photos are packed.
    """
    if is_packed(Path(source)):
        raise DatasetError(
            f"Cannot {to} packed photos ({address(Path(source))}). Use the photos that they were packed from."
        )


PACKED = Reader(is_packed, _read)
