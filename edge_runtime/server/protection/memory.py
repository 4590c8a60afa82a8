"""Memory of large pictures goes back to the system as soon as they are answered."""

from __future__ import annotations

import ctypes

_LARGE_BYTES = 4 * 1024**2  # frames of up to 1280×720 are smaller: what each of them needs is kept for the next
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def free_large_buffers_at_once() -> bool:
    """Has glibc map buffers of 4 MiB and more one by one, in the whole process; whether it does.

    By itself, glibc maps large buffers until it has freed one; then it keeps room for as large ones, up to 32 MiB, in
    each thread's arena (mallopt(3), M_MMAP_THRESHOLD). A server to which large pictures are sent then holds half as
    much again as it needs, in steps of 16 MiB that come and go. An arena may keep twice as much as is mapped,
    which is glibc's own rule: with one of the numbers alone, each frame's memory would be given back and asked for.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES))
