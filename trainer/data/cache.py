"""The folder of caches, which all runs of a user share: what works there, what was left there, what it holds."""

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
    """One of them: the pixels of a split in a folder, or its features in a file.

    Attributes:
        path: Where it is.
        size_bytes: Of its files.
        made: When.
    """

    path: Path
    size_bytes: int
    made: datetime


def cache_folder() -> Path:
    """Of the pixel caches, which may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge_trainer"


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """For whoever writes a cache: nobody clears the folder meanwhile.

    Processes that were killed leave unfinished caches behind, which nothing else would ever remove; whoever comes and
    is alone does.

    Args:
        folder: Of the caches; made where it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with shared(folder, lambda: _remove(folder.glob(PARTIAL))):
        yield


def list_caches(folder: Path) -> tuple[Cache, ...]:
    """What is there, the oldest first, unfinished ones included."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        files = [file.stat() for file in (path, *path.rglob("*")) if file.is_file()]
        made = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        found.append(Cache(path, sum(file.st_size for file in files), made))
    return tuple(sorted(found, key=lambda cache: cache.made))


def clear(folder: Path) -> tuple[Cache, ...]:
    """Removes all of them and returns what was there. A run that reads one keeps what it has opened.

    Raises:
        OutputFolderError: A process is writing one.
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
