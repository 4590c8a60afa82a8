"""The number of threads that was found best for a model on this machine.

``edge-runtime benchmark --threads auto`` measures it and keeps it in the user's cache folder; `Classifier` takes it
where it is given none. It is one for each model, backend and machine: another core count or another version of the
backend measures anew.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

from edge_runtime.user_cache import read_record, record_path, write_record


def usable_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def remembered_threads(sha256: str, backend: str, version: str) -> int | None:
    """What `remember_threads` kept; None where nothing was."""
    path = _path(sha256, backend, version)
    threads = read_record(path).get("num_threads") if path else None
    return threads if isinstance(threads, int) and 1 <= threads <= usable_cores() else None


def remember_threads(sha256: str, backend: str, version: str, num_threads: int) -> bool:
    """Keeps the best number of threads.

    Args:
        sha256: Of the model's bytes.
        backend: Name of the one that was measured.
        version: Of the backend.
        num_threads: The best number.

    Returns:
        Whether it could be kept: not for a user without a home, or with a read-only one.
    """
    path = _path(sha256, backend, version)
    return path is not None and write_record(path, {"num_threads": num_threads})


def _path(sha256: str, backend: str, version: str) -> Path | None:
    machine = f"{platform.machine()}|{platform.node()}|{usable_cores()}"
    try:
        return record_path("threads", f"{sha256}|{backend}|{version}|{machine}")
    except RuntimeError:
        return None
