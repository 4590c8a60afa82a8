"""What was found out on this machine and needn't be found out again: small JSON files in the user's cache folder."""

from __future__ import annotations

import json
import os
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
