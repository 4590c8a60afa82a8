"""Drops the rights of this process that running a network does not need."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from edge_runtime.inference.isolation.seccomp import forbid_processes_and_sockets


def confine(*, memory_bytes: int) -> str:
    """Confine this process irreversibly: limited memory; no file writes, core dumps, processes, programs or sockets.

    It can still read, truncate and delete files with its user's permissions.

    Args:
        memory_bytes: Address space allowed in addition to what it already uses.

    Returns:
        Description of the limits in effect, in plain words.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    held = ["cannot write files"]
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        pass
    else:
        _limit(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes)
        held.append(f"is limited to {memory_bytes >> 20} MiB of additional memory")
    if forbid_processes_and_sockets():
        held.append("cannot start processes or open connections")
    return ", ".join(held)


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(what, (value, value))
