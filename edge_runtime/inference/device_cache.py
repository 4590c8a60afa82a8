"""Results measured once per machine and remembered as small JSON files in the user's cache folder."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def record_path(kind: str, identity: str) -> Path:
    """Return the path of a record.

    Args:
        kind: Kind of record, used as the prefix of the file name.
        identity: Text that identifies the subject; each identity has its own file.

    Raises:
        RuntimeError: The user has no home folder.
    """
    import hashlib

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "edge_runtime" / f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


def read_record(path: Path) -> dict[str, Any]:
    """Return a record's values; empty if the file is missing or damaged."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def write_record(path: Path, values: dict[str, Any]) -> bool:
    """Store a record; return False if that fails, for example in a read-only home folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(json.dumps(values))
        partial.replace(path)
    except OSError:
        return False
    return True


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def remembered_threads(sha256: str, backend: str, version: str) -> int | None:
    """Return the number stored by `remember_threads`; None if nothing valid is stored."""
    path = _path(sha256, backend, version)
    threads = read_record(path).get("num_threads") if path else None
    return threads if isinstance(threads, int) and 1 <= threads <= usable_cores() else None


def remember_threads(sha256: str, backend: str, version: str, num_threads: int) -> bool:
    """Store the best number of threads for a model.

    Args:
        sha256: SHA-256 of the model file, in hex.
        backend: Name of the backend that was measured.
        version: Version of the backend.
        num_threads: Best number of threads.

    Returns:
        Whether it was stored; False without a writable home folder.
    """
    path = _path(sha256, backend, version)
    return path is not None and write_record(path, {"num_threads": num_threads})


def _path(sha256: str, backend: str, version: str) -> Path | None:
    machine = f"{platform.machine()}|{platform.node()}|{usable_cores()}"
    try:
        return record_path("threads", f"{sha256}|{backend}|{version}|{machine}")
    except RuntimeError:
        return None
