"""The cache folder that all runs of a user share: locking, listing and clearing it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from trainer.storage import PARTIAL, locked, shared


@dataclass(frozen=True)
class Cache:
    """One cache: a folder with the pixels of a split, or a file with its features.

    Attributes:
        path: The folder or file.
        size_bytes: Size of all its files.
        made: Time of creation (UTC).
    """

    path: Path
    size_bytes: int
    made: datetime


def cache_folder() -> Path:
    """Return the user's cache folder; its contents can be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge_trainer"


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Lock the folder against clearing while a cache is written.

    Killed processes leave unfinished caches behind. The first process that finds itself alone removes them.

    Args:
        folder: Cache folder; created if missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with shared(folder, lambda: _remove(folder.glob(PARTIAL))):
        yield


def list_caches(folder: Path) -> tuple[Cache, ...]:
    """Return all caches in a folder, oldest first, including unfinished ones."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        files = [file.stat() for file in (path, *path.rglob("*")) if file.is_file()]
        made = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        found.append(Cache(path, sum(file.st_size for file in files), made))
    return tuple(sorted(found, key=lambda cache: cache.made))


def clear(folder: Path) -> tuple[Cache, ...]:
    """Delete all caches and return them. A run that has one open can still read it.

    Raises:
        OutputFolderError: Another process is writing a cache.
    """
    if not folder.is_dir():
        return ()
    with locked(folder):
        caches = list_caches(folder)
        _remove(iter([cache.path for cache in caches]))
    return caches


def _remove(paths: Iterator[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
