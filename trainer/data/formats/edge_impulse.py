"""Edge Impulse exports: pictures in ``training/`` and ``testing/``, and ``info.labels`` (JSON) next to or in them.

Without ``info.labels``, the class is the picture's name up to the first dot, as in ``cat.1.jpg`` (the uploader's rule).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.data.formats.listing import Entry, Listing, Reader, is_picture, listing_from, loose_pictures, split_named
from trainer.errors import DatasetError
from trainer.types import Split

_INFO = "info.labels"
_FOLDERS: dict[str, Split] = {"training": "train", "testing": "test"}


def _fits(source: Path) -> bool:
    """Match a folder with ``info.labels``, or with pictures directly in ``training/``."""
    if not source.is_dir():
        return False
    training = source / "training"
    return bool(_infos(source)) or (training.is_dir() and bool(loose_pictures(training)))


def _read(source: Path) -> Listing:
    """Read an export; unlabeled photos are listed without labels.

    Raises:
        DatasetError: ``info.labels`` is invalid, or there are no pictures.
    """
    infos = _infos(source)
    entries = [entry for info in infos for entry in _listed(source, info)] if infos else _named(source)
    if not entries:
        raise DatasetError(f"The Edge Impulse export {source} contains no pictures. Export the data again.")
    return listing_from(source, "Edge Impulse export", entries)


def _infos(source: Path) -> list[Path]:
    places = (source, *(source / name for name in _FOLDERS))
    return [place / _INFO for place in places if (place / _INFO).is_file()]


def _listed(source: Path, info: Path) -> Iterator[Entry]:
    try:
        files = json.loads(info.read_text(encoding="utf-8"))["files"]
        for file in files:
            if is_picture(Path(file["path"]).name):
                path = (info.parent.relative_to(source) / file["path"]).as_posix()
                given = split_named(file.get("category", "")) or _FOLDERS.get(info.parent.name)
                yield Entry(path, _labels(file["label"]), given)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{info} isn't a valid Edge Impulse file list ({type(error).__name__}: {error}). Export the data again."
        ) from error


def _labels(label: Any) -> tuple[str, ...]:
    """Return one or several labels; none for ``{"type": "unlabeled"}``."""
    if label["type"] == "multi-label":
        return tuple(dict.fromkeys(str(part["label"]) for part in label["labels"]))
    return (str(label["label"]),) if label["type"] == "label" else ()


def _named(source: Path) -> list[Entry]:
    return [
        Entry(f"{name}/{file.name}", (file.name.partition(".")[0],), given)
        for name, given in _FOLDERS.items()
        if (source / name).is_dir()
        for file in loose_pictures(source / name)
    ]


EDGE_IMPULSE = Reader(_fits, _read)
