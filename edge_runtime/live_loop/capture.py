"""The live loop's capture thread, with a mailbox for one frame.

With a slow model, frames are dropped, never delayed: a newer frame replaces the waiting one. A file that is played as
fast as possible loses no frame: there the capture thread waits.

A broken live source is reopened, indefinitely or up to ``CaptureRules.retries`` times: at once if it fails, after
``stall_timeout_s`` if it is silent, after ``freeze_timeout_s`` if its picture is frozen. Until it delivers again, no
frame is passed on: no placeholder, no stale frame and no repeated one.
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

# Delays between attempts to reopen. The longest one brings a camera back within a second of its return. Each delay is
# drawn from half to all of it, so that many devices don't retry one camera in step.
FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 0.8
STOP_POLL_S = 0.1
JOIN_S = 0.5
# Maximum number of threads that hang in a driver. A driver that never returns would otherwise exhaust the memory.
MOST_LEFT = 4
_ROWS = 8  # compared before the whole picture


@dataclass(frozen=True)
class CaptureRules:
    """Rules for when a live source counts as broken, and how often it is reopened.

    Attributes:
        stall_timeout_s: Seconds without a frame before the source is reopened; must exceed its frame period.
        freeze_timeout_s: Seconds of identical pictures, byte for byte, before the source is reopened; None to never
            reopen for that. Identical pictures are not classified in any case.
        retries: Number of attempts to reopen, without a new frame in between, before the error is raised; 0 to give
            up at once, None for no limit.

    Raises:
        RulesError: A value is out of range.
    """

    stall_timeout_s: float = 2.0
    freeze_timeout_s: float | None = 5.0
    retries: int | None = None

    def __post_init__(self) -> None:
        for name in ("stall_timeout_s", "freeze_timeout_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RulesError(f"{name} must be greater than 0, got {value:g}.")
        if self.retries is not None and self.retries < 0:
            raise RulesError(f"retries must be at least 0, got {self.retries}. Leave it out for no limit.")


class CaptureThread:
    """Reads a source in a separate thread and keeps the newest frame.

    A thread that hangs in a driver cannot be stopped. It is abandoned instead: it no longer owns the mailbox, and
    closes its source when the driver returns.
    """

    def __init__(self, source: Source, stop: threading.Event, rules: CaptureRules) -> None:
        """Start reading.

        Args:
            source: Source to read; this object owns it from now on.
            stop: Event that ends `take` when set.
            rules: Rules for a live source.

        Raises:
            SourceError: A live source does not define `reopen`.
        """
        if source.live and rules.retries != 0 and type(source).reopen is Source.reopen:
            source.close()
            source.reopen()  # raises the error that says what is missing
        self._stop = stop
        self._rules = rules
        self._keeps_all = not (source.live or source.paced)
        self._closed = threading.Event()
        self._left: list[threading.Thread] = []  # may still hang in a driver; used by the caller's thread only
        # These two belong to the thread that owns the mailbox.
        self._pixels: NDArray[np.uint8] | None = None  # copy of the newest frame: the caller may draw into the frame
        self._attempts = 0  # since the last new frame
        # Everything below is shared and guarded by the condition.
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
        """Wait for a frame while calling ``heartbeat``; return None at the end of the source or when `stop` is set."""
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
        """Return the frame counts so far, including the caller's own counts of the frames that it took."""
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
        """Stop the thread and close the source."""
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
        if len(self._left) == MOST_LEFT:  # the next one would hang, too
            if self._rules.retries is not None:
                raise SourceError(f"{silence} {MOST_LEFT} earlier reads hang in its driver. Unplug and replug it.")
            return
        self._left.append(self._thread)
        if len(self._left) == MOST_LEFT:
            logger.warning("%d reads hang in the driver of %s. Unplug and replug it.", MOST_LEFT, source.describe())
        self._silent_since = None  # set here: the new thread may start only after the next check
        self._start(source, SourceError(silence))

    def _drop_waiting(self) -> None:
        """Drop the waiting frame, which a newer frame or a break of the source has made stale."""
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
        except BaseException as broken:  # raised again in the caller's thread, whatever it is
            error = broken
        finally:
            if current is not None:
                current.close()
            with self._condition:
                if self._owns():
                    self._ended, self._error = True, error
                    self._condition.notify_all()

    def _pump(self, source: Source) -> None:
        """Move frames to the mailbox until the source ends or this thread is abandoned."""
        changed_at = time.monotonic()
        warned = False
        while (frame := source.read()) is not None:
            kind = _kind(frame.pixels, self._pixels) if source.live else "new"
            now = time.monotonic()
            with self._condition:
                while self._keeps_all and self._waiting is not None and not self._closed.is_set():
                    self._condition.wait()
                self._captured += 1
                is_owner = self._owns()  # if not, this is a late frame from a driver that hung
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
                if kind != "malformed":  # a source that sends only malformed frames counts as silent
                    self._silent_since = now
            if kind == "new":
                changed_at = now
            elif kind == "malformed" and not warned:
                warned = True
                found = _described(frame.pixels)
                logger.warning("Skipping malformed frames from %s: %s, not uint8 (H, W, 3).", source.describe(), found)
            elif kind == "repeated" and now - changed_at > (self._rules.freeze_timeout_s or float("inf")):
                raise SourceError(f"The same picture for {now - changed_at:.1f} s from {source.describe()}.")
            del frame  # don't hold its pixels during the next read

    def _reopen(self, source: Source, failure: SourceError) -> Source | None:
        """Close and reopen the source until it works; return None if this thread was abandoned.

        Raises:
            SourceError: The last allowed attempt failed.
        """
        with self._condition:
            if not self._owns():
                return None
            logger.warning("%s Reopening it.", str(failure))  # text, as a handler that keeps the error keeps its frames
            self._silent_since = None  # opening has its own timeouts
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
                failure = error.with_traceback(None)  # the traceback and this stack frame would keep each other alive
                if self._attempts & (self._attempts - 1) == 0:  # ever more rarely: it may be away for days
                    logger.warning("%s Trying again (attempt %d failed).", str(error), self._attempts)
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
        """Whether the calling thread owns the mailbox."""
        return threading.current_thread() is self._thread and not self._closed.is_set()


def _kind(pixels: NDArray[np.uint8], before: NDArray[np.uint8] | None) -> Literal["new", "repeated", "malformed"]:
    import numpy as np

    # Drivers and custom sources may return anything.
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
