"""The capture thread of the live loop, with a mailbox of one frame.

A slow model skips frames and never falls behind: a newer frame replaces the one that waits. A file that is played as
fast as it goes loses nothing: there the capture thread waits instead.

A live source that stops delivering is noticed by time and reopened, at first after half a second, then ever more
patiently up to ten; until it delivers again there is no frame, least of all an invented one.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Frame, Source
from edge_runtime.types import Counters

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0
STOP_POLL_S = 0.1
JOIN_S = 0.5


@dataclass(frozen=True)
class CaptureRules:
    """When a live source counts as broken.

    Attributes:
        stall_timeout_s: How long it may be silent before it is reopened; more than its frame period.
    """

    stall_timeout_s: float = 2.0


class CaptureThread:
    """Reads a source in a thread of its own, and keeps the newest frame.

    A thread that hangs in a driver can't be stopped. It is left to itself then: it no longer owns the mailbox, and
    closes its source when the driver lets it go.
    """

    def __init__(self, source: Source, stop: threading.Event, rules: CaptureRules) -> None:
        self.captured = 0
        self.dropped = 0
        self.reconnects = 0
        self._stop = stop
        self._rules = rules
        self._keeps_all = not (source.live or source.paced)
        self._closed = threading.Event()
        # What follows is shared, and touched only while holding the condition.
        self._condition = threading.Condition()
        self._source = source
        self._waiting: Frame | None = None
        self._ended = False
        self._error: BaseException | None = None
        self._silent_since: float | None = time.monotonic()  # None while the source is being reopened
        self._delay_s = FIRST_DELAY_S
        self._thread: threading.Thread
        self._start(source, is_open=True)

    def take(self, heartbeat: Callable[[], None] | None = None) -> Frame | None:
        """Waits for a frame, ``heartbeat`` being called all the while; None at the end or when `stop` is set."""
        with self._condition:
            while not self._stop.is_set():
                if heartbeat is not None:
                    heartbeat()
                if self._waiting is not None:
                    frame, self._waiting = self._waiting, None
                    self._condition.notify_all()
                    return frame
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return None
                self._replace_if_stalled()
                self._condition.wait(STOP_POLL_S)
        return None

    def counters(self, *, classified: int, skipped: int) -> Counters:
        """What became of the frames so far."""
        return Counters(
            captured=self.captured,
            classified=classified,
            dropped=self.dropped,
            skipped=skipped,
            reconnects=self.reconnects,
        )

    def close(self) -> None:
        """Lets the thread end and releases the source."""
        self._closed.set()
        with self._condition:
            source = self._source
            self._condition.notify_all()
        source.close()
        self._thread.join(JOIN_S)

    def _start(self, source: Source, *, is_open: bool) -> None:
        self._thread = threading.Thread(target=self._run, args=(source, is_open), name="edge-capture", daemon=True)
        self._thread.start()

    def _replace_if_stalled(self) -> None:
        if not self._source.live or self._silent_since is None:
            return
        silent_s = time.monotonic() - self._silent_since
        if silent_s > self._rules.stall_timeout_s:
            logger.warning("No frame for %.1f s from %s; reopening it.", silent_s, self._source.describe())
            self._silent_since = None  # here and now: the new thread may not run before the next look
            self._start(self._source, is_open=False)

    def _run(self, source: Source, is_open: bool) -> None:
        current: Source | None = source
        error: BaseException | None = None
        try:
            if not is_open:
                current = self._reopen(source)
            while current is not None:
                try:
                    self._pump(current)
                    break
                except SourceError as failure:
                    if not current.live:
                        raise
                    current = self._reopen(current, failure)
        except BaseException as failure:  # whatever it is belongs to the caller's thread
            error = failure
        finally:
            if current is not None:
                current.close()
            with self._condition:
                if self._owns():
                    self._ended, self._error = True, error
                    self._condition.notify_all()

    def _pump(self, source: Source) -> None:
        """Carries frames to the mailbox until the source ends or nobody wants them any more."""
        while (frame := source.read()) is not None:
            with self._condition:
                while self._keeps_all and self._waiting is not None and not self._closed.is_set():
                    self._condition.wait()
                if not self._owns():
                    return
                self.captured += 1
                if self._waiting is not None:
                    self.dropped += 1
                self._waiting = frame
                self._silent_since = time.monotonic()
                self._delay_s = FIRST_DELAY_S
                self._condition.notify_all()
            del frame  # not through the next read

    def _reopen(self, source: Source, failure: SourceError | None = None) -> Source | None:
        """Closes and opens until it works; None when this thread is no longer wanted."""
        with self._condition:
            if not self._owns():
                return None
            if failure is not None:
                logger.warning("%s Reopening it.", failure)
            self._silent_since = None  # opening has its own time limits
        source.close()
        while not self._closed.wait(self._delay_s):
            self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)
            try:
                fresh = source.reopen()
            except SourceError as error:
                logger.warning("%s Trying again in %.1f s.", error, self._delay_s)
                continue
            with self._condition:
                if self._owns():
                    logger.warning("Reopened: %s.", fresh.describe())
                    self._source = fresh
                    self._silent_since = time.monotonic()
                    self.reconnects += 1
                    return fresh
            fresh.close()
            return None
        return None

    def _owns(self) -> bool:
        """Whether the calling thread is the one that fills the mailbox."""
        return threading.current_thread() is self._thread and not self._closed.is_set()
