"""Processes that share a folder: one at a time in a run's, any number in the cache's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.errors import OutputFolderError


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
