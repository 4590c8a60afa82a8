"""One process at a time in a run's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
