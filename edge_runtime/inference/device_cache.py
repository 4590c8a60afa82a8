"""What was found out on this machine and needn't be found out again: small JSON files in the user's cache folder."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any


def record_path(kind: str, identity: str) -> Path:
    """Where a record lies.

    Args:
        kind: Of the record; its file's name begins with it.
        identity: Of what it is about; another one is another file.

    Raises:
        RuntimeError: The user has no home.
    """
    import hashlib

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "edge_runtime" / f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.json"


def read_record(path: Path) -> dict[str, Any]:
    """A record's values; empty where there is none, or a damaged one."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def write_record(path: Path, values: dict[str, Any]) -> bool:
    """Keeps a record; returns whether it could be, which a read-only home forbids."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(json.dumps(values))
        partial.replace(path)
    except OSError:
        return False
    return True


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
