"""Base class of all frame sources."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal

from edge_runtime.errors import SourceError
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Pace = Literal["fast", "realtime"]
"""``"fast"``: every frame, as fast as it is read; ``"realtime"``: frames at their natural rate, as from a camera."""


class Source(ABC):
    """Source of frames. Subclasses implement `read`, `close` and `describe`; live sources also `reopen`.

    One thread reads a source. Another thread may call `close`, even while `read` is waiting: `close` returns at once,
    and resources still in use are released as soon as `read` returns.

    Attributes:
        live: True for a camera or stream: old frames are dropped, and the source is reopened if frames stop coming.
        paced: True if frames come at their natural rate although the source could wait (``pace="realtime"``).
        continuous: True if frames follow each other in time. False for single pictures, which are decided one by one.
    """

    live: bool = False
    paced: bool = False
    continuous: bool = True
    _index: int = 0

    @abstractmethod
    def read(self) -> Frame | None:
        """Wait for the next frame; None at the end of a finite source and after `close`.

        Raises:
            SourceError: The source failed.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the device or file. Closing twice has no effect."""

    @abstractmethod
    def describe(self) -> str:
        """Return one line with the type of source and its actual frame size and rate."""

    def reopen(self) -> Source:
        """Open the same device or stream again. Live sources must implement this.

        Raises:
            SourceError: The source cannot be opened, or its class does not implement `reopen`.
        """
        raise SourceError(f"{type(self).__name__} cannot be reopened. A live source must implement reopen().")

    def _frame(self, pixels: NDArray[np.uint8], captured_at: float, **facts: Any) -> Frame:
        """Return the next frame with its index; ``facts`` are other fields of `Frame`."""
        self._index += 1
        return Frame(pixels, self._index - 1, captured_at, **facts)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Pacer:
    """Delays frames to their natural rate until the source is closed."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._due: float | None = None

    def wait(self, gap_s: float) -> None:
        """Wait until the next frame is due, ``gap_s`` seconds after the last one. Late frames are not delayed."""
        now = time.monotonic()
        due = now if self._due is None else self._due + gap_s
        if now > due + gap_s:
            due = now  # more than a frame late: continue from here instead of catching up
        elif now < due:
            self._closed.wait(due - now)
        self._due = due
