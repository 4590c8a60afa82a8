"""Writes files and folders whole or not at all, a power cut included."""

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
"""Pattern of the files that a process leaves behind which is killed as it writes."""


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file; whoever looks sees the old one or the new one, never half of one.

    Raises:
        OutputFolderError: It can't be written.
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
            f"Expected to write {path}, got: {error.strerror or error}. Make room or choose another folder."
        ) from error


def put_in_place(partial: Path, finished: Path) -> None:
    """Renames a folder when all that is in it has reached the disk: a rename may get there before what it names."""
    for path in (*partial.rglob("*"), partial):
        _sync(path)
    partial.rename(finished)
    _sync(finished.parent)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, as `write_bytes` does."""
    write_bytes(path, (json.dumps(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """Reads JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_remote(path: str | Path) -> bool:
    """Whether it is an address such as ``gs://bucket/photos``, which `tf.io.gfile` reads and `pathlib` doesn't."""
    return re.match(r"[a-z][a-z0-9+.-]*:/", str(path)) is not None


def absolute(path: str | Path) -> Path:
    """The path from the root on; an address stays as it is."""
    return Path(path) if is_remote(path) else Path(path).resolve()


def address(path: Path) -> str:
    """A path as `tf.io.gfile` takes it: `pathlib` makes one slash of two, ``gs:/bucket`` of ``gs://bucket``."""
    return re.sub(r"^([a-z][a-z0-9+.-]*):/+", r"\1://", str(path))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps a folder to this process; the kernel frees it when the process ends, however that comes about.

    Raises:
        OutputFolderError: Another process has it.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputFolderError(
                f"Expected nobody else to work in {folder}, but another process does. "
                "Wait for it, or choose another folder with --to."
            ) from None
        except OSError:
            pass  # some network file systems have no locks
        yield
    finally:
        os.close(handle)


@contextmanager
def shared(folder: Path, sweep: Callable[[], None]) -> Iterator[None]:
    """Works in a folder beside other processes.

    Args:
        folder: It exists.
        sweep: Called first where no other process is at work there: what is unfinished then is nobody's. A file system
            without locks can't tell, and isn't swept.
    """
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # another is at work, or there are no locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sweep()
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
