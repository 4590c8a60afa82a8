"""Recognizes errors that mean that there is not enough memory."""

from __future__ import annotations

import errno

OUT_OF_MEMORY = "Out of memory. Close other programs, raise the process limit, or use a smaller model or image."
"""Message for such an error."""

# Messages of the dynamic linker (loading a library), CPython (starting a thread) and OpenCV.
_MESSAGES = ("failed to map segment", "cannot allocate memory", "can't start new thread", "insufficient memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that caused it, is a lack of memory."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        if any(message in str(cause).lower() for message in _MESSAGES):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
