"""How the lack of memory shows: under another name in each library."""

from __future__ import annotations

import errno

MESSAGE = (
    "Expected more memory than there is, or than this process may use. "
    "End other programs, raise the limit, or use a smaller model or picture."
)
# The dynamic linker, when a library is loaded; CPython, when a thread is started; OpenCV.
_WORDS = ("failed to map segment", "cannot allocate memory", "can't start new thread", "Insufficient memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that there wasn't enough memory."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        if any(words.lower() in str(cause).lower() for words in _WORDS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
