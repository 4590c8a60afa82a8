"""What every source of frames is, and what it delivers."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import SourceError
from edge_runtime.types import Frame

if TYPE_CHECKING:
    from types import TracebackType


Pace = Literal["fast", "realtime"]
"""``"fast"``: every frame, as soon as it is asked for; ``"realtime"``: frames come by the clock, as from a camera."""


class Source(ABC):
    """Delivers frames, one a call. A class of your own needs `read`, `close` and `describe`, a live one `reopen`, too.

    A source is read by one thread. `close` may be called by another one, also while `read` is waiting: it returns at
    once, and what it can't release itself is released as soon as that `read` returns.

    Attributes:
        live: A device or a stream, which goes on without us: an old frame is worth nothing, no frame for a while
            means that something broke, and `reopen` is the cure.
        paced: Frames come by the clock although nothing would be lost by waiting (``pace="realtime"``).
        continuous: Each frame follows from the one before. Single pictures don't: nothing can be decided over time.
    """

    live: bool = False
    paced: bool = False
    continuous: bool = True

    @abstractmethod
    def read(self) -> Frame | None:
        """Waits for the next frame; None at the end of a finite source, and after `close`.

        Raises:
            SourceError: No frame can be had.
        """

    @abstractmethod
    def close(self) -> None:
        """Releases the device or file. Closing twice does nothing."""

    @abstractmethod
    def describe(self) -> str:
        """One line for people: what it is, its size and rate, as negotiated."""

    def reopen(self) -> Source:
        """Opens the same device or stream anew. Only live sources can."""
        raise SourceError(f"Expected a source that can be reopened, got {type(self).__name__}: define reopen().")

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Pacer:
    """Lets frames through by the clock, until its source is closed."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self._due: float | None = None

    def wait(self, gap_s: float) -> None:
        """Returns when the next frame is due, ``gap_s`` after the one before; at once when it is late."""
        now = time.monotonic()
        due = now if self._due is None else self._due + gap_s
        if now > due + gap_s:
            due = now  # a whole frame late: go on from here, don't hurry after the clock
        elif now < due:
            self._closed.wait(due - now)
        self._due = due
