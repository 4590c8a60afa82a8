"""The capture thread of the live loop, with a mailbox of one frame.

A slow model skips frames and never falls behind: a newer frame replaces the one that waits. A file that is played as
fast as it goes loses nothing: there the capture thread waits instead.

A live source that breaks is reopened, for ever or so many times in a row: an unplugged one at once, a silent one after
a while, and one whose picture stands still after a longer while. Until it delivers again there is no frame, least of
all an invented one, one from before it broke, or the same one once more.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from edge_runtime.errors import RulesError, SourceError
from edge_runtime.sources.base import Source
from edge_runtime.types import Counters, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

# Between attempts to reopen. The longest keeps the promise that a camera is back within a second of its return; each
# is drawn between half and all of it, so that many devices don't knock at one camera in step.
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 0.8
STOP_POLL_S = 0.1
JOIN_S = 0.5
# Threads that may hang in a driver at a time. With more, a driver that never lets go would fill the memory.
MOST_LEFT = 4
_ROWS = 8  # that are compared before the whole picture is


@dataclass(frozen=True)
class CaptureRules:
    """When a live source counts as broken, and how often it is reopened.

    Attributes:
        stall_timeout_s: How long it may be silent before it is reopened; more than its frame period.
        freeze_timeout_s: How long it may repeat one picture, to the byte, before it is reopened; None never reopens
            it for that. Repeated pictures aren't classified in any case.
        retries: Attempts to reopen, without one new frame between them, before the error comes through; 0 gives up
            at once, None never.
    """

    stall_timeout_s: float = 2.0
    freeze_timeout_s: float | None = 5.0
    retries: int | None = None

    def __post_init__(self) -> None:
        for name in ("stall_timeout_s", "freeze_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RulesError(f"Expected {name} above 0, got {value:g}.")
        if self.retries is not None and self.retries < 0:
            raise RulesError(f"Expected retries of at least 0, or None for ever, got {self.retries}.")


class CaptureThread:
    """Reads a source in a thread of its own, and keeps the newest frame.

    A thread that hangs in a driver can't be stopped. It is left to itself then: it no longer owns the mailbox, and
    closes its source when the driver lets it go.
    """

    def __init__(self, source: Source, stop: threading.Event, rules: CaptureRules) -> None:
        """Begins to read.

        Args:
            source: It belongs to this object from now on.
            stop: Ends `take` when it is set.
            rules: For a live source.

        Raises:
            SourceError: A live source doesn't define `reopen`, which it will need.
        """
        if source.live and rules.retries != 0 and type(source).reopen is Source.reopen:
            source.close()
            source.reopen()  # says what is missing
        self._stop = stop
        self._rules = rules
        self._keeps_all = not (source.live or source.paced)
        self._closed = threading.Event()
        self._left: list[threading.Thread] = []  # that may still hang in a driver; touched by the caller alone
        # These belong to the thread that owns the mailbox.
        self._pixels: NDArray[np.uint8] | None = None  # a copy of the newest: a caller may draw into the frame itself
        self._attempts = 0  # since the last new frame
        # What follows is shared, and touched only while holding the condition.
        self._condition = threading.Condition()
        self._source = source
        self._waiting: Frame | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._silent_since: float | None = time.monotonic()  # None while the source is being reopened
        self._captured = self._dropped = self._repeated = self._malformed = self._reconnects = 0
        self._thread: threading.Thread
        self._start(source)

    def take(self, heartbeat: Callable[[], None] | None = None) -> Frame | None:
        """Waits for a frame, ``heartbeat`` being called all the while; None at the end or when `stop` is set."""
        while not self._stop.is_set():
            if heartbeat is not None:
                heartbeat()
            with self._condition:
                self._replace_if_stalled()
                if self._waiting is not None:
                    frame, self._waiting = self._waiting, None
                    self._condition.notify_all()
                    return frame
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return None
                self._condition.wait(STOP_POLL_S)
        return None

    def counters(self, *, classified: int, skipped: int) -> Counters:
        """What became of the frames so far, with what the caller did with those that it took."""
        with self._condition:
            return Counters(
                captured=self._captured,
                classified=classified,
                dropped=self._dropped,
                skipped=skipped,
                repeated=self._repeated,
                malformed=self._malformed,
                reconnects=self._reconnects,
            )

    def close(self) -> None:
        """Lets the thread end and releases the source."""
        self._closed.set()
        with self._condition:
            source = self._source
            self._condition.notify_all()
        source.close()
        self._thread.join(JOIN_S)

    def _start(self, source: Source, failure: SourceError | None = None) -> None:
        self._thread = threading.Thread(target=self._run, args=(source, failure), name="edge-capture", daemon=True)
        self._thread.start()

    def _replace_if_stalled(self) -> None:
        if not self._source.live or self._silent_since is None:
            return
        silent_s = time.monotonic() - self._silent_since
        if silent_s <= self._rules.stall_timeout_s:
            return
        self._drop_waiting()
        source, silence = self._source, f"No frame for {silent_s:.1f} s from {self._source.describe()}."
        self._left = [thread for thread in self._left if thread.is_alive()]
        if len(self._left) == MOST_LEFT:  # the next one would hang as these do
            if self._rules.retries is not None:
                raise SourceError(f"{silence} {MOST_LEFT} reads before hang in its driver. Plug it in anew.")
            return
        self._left.append(self._thread)
        if len(self._left) == MOST_LEFT:
            logger.warning("%d reads hang in the driver of %s. Plug it in anew.", MOST_LEFT, source.describe())
        self._silent_since = None  # here and now: the new thread may not run before the next look
        self._start(source, SourceError(silence))

    def _drop_waiting(self) -> None:
        """A frame from before the source broke is stale when it comes back."""
        if self._waiting is not None:
            self._waiting = None
            self._dropped += 1

    def _run(self, source: Source, failure: SourceError | None) -> None:
        current: Source | None = source
        error: BaseException | None = None
        try:
            if failure is not None:
                current = self._reopen(source, failure)
            while current is not None:
                try:
                    self._pump(current)
                    break
                except SourceError as broken:
                    if not current.live:
                        raise
                    current = self._reopen(current, broken)
        except BaseException as broken:  # whatever it is belongs to the caller's thread
            error = broken
        finally:
            if current is not None:
                current.close()
            with self._condition:
                if self._owns():
                    self._ended, self._error = True, error
                    self._condition.notify_all()

    def _pump(self, source: Source) -> None:
        """Carries frames to the mailbox until the source ends or nobody wants them any more."""
        changed_at = time.monotonic()
        warned = False
        while (frame := source.read()) is not None:
            kind = _kind(frame.pixels, self._pixels) if source.live else "new"
            now = time.monotonic()
            with self._condition:
                while self._keeps_all and self._waiting is not None and not self._closed.is_set():
                    self._condition.wait()
                self._captured += 1
                is_owner = self._owns()  # if not, the frame comes late, from a driver that let go at last
                if kind == "malformed":
                    self._malformed += 1
                elif kind == "repeated":
                    self._repeated += 1
                elif not is_owner:
                    self._dropped += 1
                else:
                    self._drop_waiting()
                    self._pixels = frame.pixels.copy() if source.live else None
                    self._waiting, self._attempts = frame, 0
                    self._condition.notify_all()
                if not is_owner:
                    return
                if kind != "malformed":  # that is no sign of life: who sends nothing else is as good as silent
                    self._silent_since = now
            if kind == "new":
                changed_at = now
            elif kind == "malformed" and not warned:
                warned = True
                logger.warning(
                    "Expected pictures, uint8 (H, W, 3), from %s, got %s; such are left out.",
                    source.describe(),
                    _described(frame.pixels),
                )
            elif kind == "repeated" and now - changed_at > (self._rules.freeze_timeout_s or float("inf")):
                raise SourceError(f"The same picture for {now - changed_at:.1f} s from {source.describe()}.")
            del frame  # not through the next read

    def _reopen(self, source: Source, failure: SourceError) -> Source | None:
        """Closes and opens until it works; None when this thread is no longer wanted.

        Raises:
            SourceError: The last of as many attempts as are allowed failed too.
        """
        with self._condition:
            if not self._owns():
                return None
            logger.warning("%s Reopening it.", str(failure))  # a handler that keeps it would keep the frames it passed
            self._silent_since = None  # opening has its own time limits
            self._drop_waiting()
        source.close()
        while self._attempts != self._rules.retries:
            longest_s = min(FIRST_DELAY_S * 2 ** min(self._attempts, 10), LONGEST_DELAY_S)
            self._attempts += 1
            if self._closed.wait(random.uniform(0.5, 1.0) * longest_s):
                return None
            try:
                fresh = source.reopen()
            except SourceError as error:
                failure = error.with_traceback(None)  # it would hold this very frame, and that the error
                if self._attempts & (self._attempts - 1) == 0:  # ever more seldom: it may be away for days
                    logger.warning("%s Trying again, %d so far.", str(error), self._attempts)
                continue
            with self._condition:
                if self._owns():
                    logger.warning("Reopened: %s.", fresh.describe())
                    self._source = fresh
                    self._silent_since = time.monotonic()
                    self._reconnects += 1
                    return fresh
            fresh.close()
            return None
        raise failure

    def _owns(self) -> bool:
        """Whether the calling thread is the one that fills the mailbox."""
        return threading.current_thread() is self._thread and not self._closed.is_set()


def _kind(pixels: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> Literal["new", "repeated", "malformed"]:
    import numpy as np

    # Drivers and sources of users' own: anything may come.
    is_array = isinstance(pixels, np.ndarray)
    if not is_array or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.size == 0:
        return "malformed"
    if before is None or pixels.shape != before.shape:
        return "new"
    step = max(len(pixels) // _ROWS, 1)
    same = np.array_equal(pixels[::step], before[::step]) and np.array_equal(pixels, before)
    return "repeated" if same else "new"


def _described(pixels: object) -> str:
    shape, dtype = getattr(pixels, "shape", None), getattr(pixels, "dtype", None)
    return type(pixels).__name__ if shape is None else f"{dtype} {shape}"
