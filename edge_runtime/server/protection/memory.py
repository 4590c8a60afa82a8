"""Returns the memory of large pictures to the system right after each request."""

from __future__ import annotations

import ctypes

_LARGE_BYTES = 4 * 1024**2  # frames up to 1280×720 are smaller; their memory is kept for the next frame
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def free_large_buffers_at_once() -> bool:
    """Make glibc map each buffer of 4 MiB or more separately, in the whole process.

    By default, glibc raises its threshold for mapping after freeing a mapped buffer, and then keeps up to 32 MiB in
    each thread's arena (mallopt(3), M_MMAP_THRESHOLD); a server that receives large pictures holds 1.5 times the memory
    it needs. The trim threshold is set to twice the mapping threshold, as glibc does: with the latter alone, each
    frame's memory would be returned and requested again.

    Returns:
        Whether glibc accepted the settings; False for another libc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES) and mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES))
