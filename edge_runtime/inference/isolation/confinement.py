"""Takes the rights of this process that running a network doesn't need."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from edge_runtime.inference.isolation.seccomp import forbid_processes_and_sockets


def confine(*, memory_bytes: int) -> str:
    """Limits this process, for good: memory, nothing written, no core dump, no new process, program or socket.

    It can still read, empty and delete the files that its user can.

    Args:
        memory_bytes: Address space that it may take beyond what it has.

    Returns:
        What holds, for people.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    held = ["writes nothing into files"]
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:  # not Linux
        pass
    else:
        _limit(resource.RLIMIT_AS, pages * os.sysconf("SC_PAGE_SIZE") + memory_bytes)
        held.append(f"takes at most {memory_bytes >> 20} MiB more")
    if forbid_processes_and_sockets():
        held.append("starts no processes and opens no connections")
    return ", ".join(held)


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(what, (value, value))
