"""A thread of its own for a sink that may be slow."""

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
    """Takes results at once and hands them to another sink in a thread of its own.

    The camera never waits: a queue that is full loses its oldest result. A sink that fails loses what it couldn't take
    and goes on with the next: a broker or a server that is away for an hour must not end the loop. It is said in the
    log when that begins and when it is over, not each time.

    Attributes:
        dropped: Results that were wanted and had to make place for newer ones.
        failed: Results that the sink couldn't take.
    """

    def __init__(self, sink: Sink, *, capacity: int | None = None, close_timeout_s: float = 3.0) -> None:
        """Starts the thread.

        Args:
            sink: It is used by that thread alone from now on, and closed by it.
            capacity: Results that may wait; None is 8 for a sink that looks at pixels, which are kept as long, and 256
                for one that doesn't.
            close_timeout_s: How long `close` lets the sink finish what waits. A sink that hangs longer is left behind.

        Raises:
            RulesError: There would be no place for a result.
        """
        if capacity is not None and capacity < 1:
            raise RulesError(f"Expected a capacity of at least 1, got {capacity}.")
        self.dropped = 0
        self.failed = 0
        self.needs_pixels = sink.needs_pixels
        self._sink = sink
        self._capacity = capacity or (8 if sink.needs_pixels else 256)
        self.close_timeout_s = close_timeout_s
        # What follows is shared, and touched only while holding the condition.
        self._condition = threading.Condition()
        self._queue: deque[LiveResult] = deque()
        self._closed = False
        self._over = False  # nobody wants any more
        self._thread = threading.Thread(target=self._run, name="edge-sink", daemon=True)
        self._thread.start()

    def wants(self, result: LiveResult) -> bool:
        """See `Sink.wants`."""
        return self._sink.wants(result)

    def write(self, result: LiveResult) -> bool:
        """Takes one result, at once.

        Returns:
            False when the sink wants no more, or was closed.
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
                    logger.warning("The %s is slower than the results come; the oldest are left out.", self.describe())
                self.dropped += 1
            self._queue.append(waiting)
            self._condition.notify_all()
        return True

    def close(self) -> None:
        """Lets the sink finish what waits and close, for as long as it may take; what is left then is lost."""
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._condition.notify_all()
        self._thread.join(self.close_timeout_s)
        with self._condition:
            if self._thread.is_alive():
                logger.warning(
                    "The %s didn't finish within %g s; results left behind: %d.",
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
                del result  # so that waiting for the next one doesn't keep this one's pixels
        finally:
            self._over = True
            self._sink.close()

    def _next(self) -> LiveResult | None:
        """Waits for a result; None at the end."""
        with self._condition:
            while not self._queue and not self._closed and not self._over:
                self._condition.wait()
            return self._queue.popleft() if self._queue and not self._over else None

    def _write(self, result: LiveResult, failing: bool) -> bool:
        """Hands over one result, and says whether that failed; ``failing`` is whether the one before did."""
        try:
            self._over = not self._sink.write(result)
        except Exception as error:  # also a bug in a sink of the user's own: it must not end the thread
            self.failed += 1
            if not failing and not self._over:  # else it was told to
                ours = isinstance(error, OutputError)
                message = str(error) if ours else f"The {self.describe()} failed: {error!r}."
                logger.warning("%s It goes on; this isn't said again until it works.", message, exc_info=not ours)
            return True
        if failing:
            logger.warning("The %s works again; results lost so far: %d.", self.describe(), self.failed)
        return False


def _without_pixels(result: LiveResult) -> LiveResult:
    import numpy as np

    return replace(result, frame=replace(result.frame, pixels=np.empty((0, 0, 3), np.uint8)))
