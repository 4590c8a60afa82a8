"""Runs a slow sink in its own thread."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.errors import OutputError, RulesError
from edge_runtime.sinks.base import Sink

if TYPE_CHECKING:
    from edge_runtime.types import LiveResult

logger = logging.getLogger(__name__)


class Background(Sink):
    """Queues results and writes them to another sink in a background thread.

    The camera never waits: a full queue drops its oldest result. If the sink fails, that result is lost and the next
    one is tried, so that a server that is down for an hour does not end the live loop. The log has one warning when
    the failures begin and one when they end.

    Args:
        sink: Sink to write to; from now on only the background thread uses it, and closes it.
        capacity: Maximum number of queued results; default: 8 for a sink that needs pixels, else 256.
        close_timeout_s: Seconds that `close` waits for queued results to be written; after that they are lost.

    Attributes:
        dropped: Number of results dropped because the queue was full.
        failed: Number of results that the sink failed to write.

    Raises:
        RulesError: ``capacity`` is below 1.
    """

    def __init__(self, sink: Sink, *, capacity: int | None = None, close_timeout_s: float = 3.0) -> None:
        if capacity is not None and capacity < 1:
            raise RulesError(f"capacity must be at least 1, got {capacity}.")
        self.dropped = 0
        self.failed = 0
        self.needs_pixels = sink.needs_pixels
        self._sink = sink
        self._capacity = capacity or (8 if sink.needs_pixels else 256)
        self.close_timeout_s = close_timeout_s
        # Shared with the thread; guarded by the condition.
        self._condition = threading.Condition()
        self._queue: deque[LiveResult] = deque()
        self._closed = False
        self._over = False  # the sink takes no more results
        self._thread = threading.Thread(target=self._run, name="edge-sink", daemon=True)
        self._thread.start()

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return self._sink.wants(result)

    def write(self, result: LiveResult) -> bool:
        """Queue one result without waiting.

        Returns:
            False if the sink takes no more results or was closed.
        """
        if self._over or self._closed:
            return False
        if not self._sink.wants(result):
            return True
        waiting = result if self._sink.needs_pixels else _without_pixels(result)
        with self._condition:
            if len(self._queue) == self._capacity:
                self._queue.popleft()
                if self.dropped == 0:
                    logger.warning("The %s cannot keep up; the oldest results are dropped.", self.describe())
                self.dropped += 1
            self._queue.append(waiting)
            self._condition.notify_all()
        return True

    def close(self) -> None:
        """Let the sink write the queued results and close; after ``close_timeout_s``, the remaining ones are lost."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._condition.notify_all()
        self._thread.join(self.close_timeout_s)
        with self._condition:
            if self._thread.is_alive():
                logger.warning(
                    "The %s did not finish within %g s; results lost: %d.",
                    self.describe(),
                    self.close_timeout_s,
                    len(self._queue) + 1,
                )
                self._over = True
                self._sink.abort()
            self._queue.clear()

    def describe(self) -> str:
        """See `Sink.describe`."""
        return self._sink.describe()

    def _run(self) -> None:
        try:
            failing = False
            while (result := self._next()) is not None:
                failing = self._write(result, failing)
                del result  # release its pixels while waiting for the next one
        finally:
            self._over = True
            self._sink.close()

    def _next(self) -> LiveResult | None:
        """Wait for a result; None at the end."""
        with self._condition:
            while not self._queue and not self._closed and not self._over:
                self._condition.wait()
            return self._queue.popleft() if self._queue and not self._over else None

    def _write(self, result: LiveResult, failing: bool) -> bool:
        """Write one result; return whether that failed. ``failing`` says whether the previous one failed."""
        try:
            self._over = not self._sink.write(result)
        except Exception as error:  # a bug in a user's sink must not end the thread
            self.failed += 1
            if not failing and not self._over:  # after abort() a failure is expected
                ours = isinstance(error, OutputError)
                message = str(error) if ours else f"The {self.describe()} failed: {error!r}."
                logger.warning(
                    "%s Continuing; further failures are not logged until it works again.", message, exc_info=not ours
                )
            return True
        if failing:
            logger.warning("The %s works again; results lost so far: %d.", self.describe(), self.failed)
        return False


def _without_pixels(result: LiveResult) -> LiveResult:
    import numpy as np

    return replace(result, frame=replace(result.frame, pixels=np.empty((0, 0, 3), np.uint8)))
