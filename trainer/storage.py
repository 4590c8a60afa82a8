"""Write files and folders atomically, even across a power failure; lock folders."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainer.errors import OutputFolderError

PARTIAL = ".*.partial"
"""Glob pattern of temporary files, which a process that is killed while writing leaves behind."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see either the old content or the new one.

    Raises:
        OutputFolderError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync(path.parent)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputFolderError(
            f"Cannot write {path}: {error.strerror or error}. Free some space or choose another folder."
        ) from error


def put_in_place(partial: Path, finished: Path) -> None:
    """Rename a folder after its content has reached the disk, which a rename alone does not guarantee."""
    for path in (*partial.rglob("*"), partial):
        _sync(path)
    partial.rename(finished)
    _sync(finished.parent)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; see `write_bytes`."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_remote(path: str | Path) -> bool:
    """Whether a path is a URL such as ``gs://bucket/photos``, for `tf.io.gfile` instead of `pathlib`."""
    return re.match(r"[a-z][a-z0-9+.-]*:/", str(path)) is not None


def absolute(path: str | Path) -> Path:
    """Return the absolute path; a URL stays unchanged."""
    return Path(path) if is_remote(path) else Path(path).resolve()


def address(path: Path) -> str:
    """Return a path for `tf.io.gfile`, restoring the slash that `pathlib` drops from ``gs://bucket``."""
    return re.sub(r"^([a-z][a-z0-9+.-]*):/+", r"\1://", str(path))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold an exclusive lock on a folder; the kernel releases it whenever the process ends.

    Raises:
        OutputFolderError: Another process holds the lock.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputFolderError(
                f"Another process is using {folder}. Wait until it has finished, or choose another output folder."
            ) from None
        except OSError:
            pass  # some network file systems do not support locks
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(folder: Path, sweep: Callable[[], None]) -> Iterator[None]:
    """Hold a shared lock on a folder that several processes may use.

    Args:
        folder: Existing folder.
        sweep: Called first if no other process uses the folder, to remove unfinished files. Not called on a file
            system without locks.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # another process holds it, or locks are not supported
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep()
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
