"""The live loop: one thread captures, the caller's thread classifies, and a mailbox of one frame lies between them.

A slow model therefore skips frames and never falls behind: a newer frame replaces the one that waits. A file that is
played as fast as it goes loses nothing: there the capture thread waits instead.

A live source that stops delivering is noticed by time and reopened, at first after half a second, then ever more
patiently up to ten; until it delivers again nothing is yielded, least of all an invented frame.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Frame, Source
from edge_runtime.types import Prediction

if TYPE_CHECKING:
    from edge_runtime.classifier import Classifier

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 10.0
STOP_POLL_S = 0.1
JOIN_S = 0.5


@dataclass(frozen=True, eq=False)
class LiveResult:
    """One frame of a stream and what the network says about it.

    Attributes:
        frame: With its pixels, uint8 (H, W, 3) BGR.
        prediction: For it.
        time: When it was decided, in seconds since 1970 (UTC).
        age_ms: From capture to decision.
        fps: Decisions per second, over the last second or the last two decisions; 0 for the first.
        dropped: Frames so far that a newer one replaced before the classifier was free.
        reconnects: How often the source had to be reopened so far.
    """

    frame: Frame = field(repr=False)
    prediction: Prediction
    time: float
    age_ms: float
    fps: float
    dropped: int
    reconnects: int


def live(
    classifier: Classifier,
    source: Source,
    *,
    top_k: int = 5,
    score_threshold: float = 0.0,
    stop: threading.Event | None = None,
    stall_timeout_s: float = 2.0,
) -> Generator[LiveResult, None, None]:
    """Classifies what a source delivers, for as long as it does.

    The source is closed when the generator ends, is closed or is thrown away, also while a camera keeps the capture
    thread waiting.

    Args:
        classifier: Runs in the caller's thread.
        source: From `edge_runtime.sources.open_source`, or of your own kind.
        top_k: As for `Classifier.classify`.
        score_threshold: As for `Classifier.classify`.
        stop: Ends the loop within a tenth of a second when it is set, from a signal handler or another thread.
        stall_timeout_s: How long a live source may be silent before it is reopened; more than its frame period.

    Yields:
        One result a frame.

    Raises:
        SourceError: A source that isn't live failed; other errors of a source come through as they are.
    """
    capture = _Capture(source, stop or threading.Event(), stall_timeout_s)
    decided: deque[float] = deque()
    try:
        while (frame := capture.take()) is not None:
            prediction = classifier.classify(frame.pixels, color="bgr", top_k=top_k, score_threshold=score_threshold)
            now = time.monotonic()
            decided.append(now)
            while len(decided) > 2 and decided[0] < now - 1.0:
                decided.popleft()
            span_s = now - decided[0]
            yield LiveResult(
                frame=frame,
                prediction=prediction,
                time=time.time(),
                age_ms=(now - frame.captured_at) * 1000,
                fps=(len(decided) - 1) / span_s if span_s > 0 else 0.0,
                dropped=capture.dropped,
                reconnects=capture.reconnects,
            )
            del frame, prediction  # so that waiting for the next frame doesn't keep this one's pixels
    finally:
        capture.close()


class _Capture:
    """Reads a source in a thread of its own.

    A thread that hangs in a driver can't be stopped. It is left to itself then: it no longer owns the mailbox, and
    closes its source when the driver lets it go.
    """

    def __init__(self, source: Source, stop: threading.Event, stall_timeout_s: float) -> None:
        self.dropped = 0
        self.reconnects = 0
        self._stop = stop
        self._stall_timeout_s = stall_timeout_s
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

    def take(self) -> Frame | None:
        """Waits for a frame; None at the end or when `stop` is set."""
        with self._condition:
            while not self._stop.is_set():
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
        if silent_s > self._stall_timeout_s:
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
