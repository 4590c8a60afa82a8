"""Camera whose frames carry serial numbers, and the live loop on it under many faults."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from edge_runtime.sources.base import Pacer, Source
from edge_runtime.sources.faulty import Fault, FaultySource, random_faults
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime import Classifier
    from edge_runtime.live_loop.capture import CaptureRules

_END_S = 2.0  # undisturbed frames at the end, so that the last fault is over by then


@dataclass
class _World:
    """State that outlives a disconnected camera.

    Attributes:
        serial: Serial number of the newest frame, from 1.
        connection: Number of times the camera was reconnected.
        ends_at: Time at which the camera ends, by `time.monotonic`.
    """

    serial: int = 0
    connection: int = 0
    ends_at: float = float("inf")


class StampedCamera(Source):
    """Camera that fills each frame with its serial and connection numbers, and holds a file open like a device."""

    live = True

    def __init__(self, *, fps: float, size: tuple[int, int] = (32, 32), world: _World | None = None) -> None:
        """Create a camera; ``size`` is (height, width), and height times width must be a multiple of 8."""
        self.world = world or _World()
        self._fps, self._size = fps, size
        self._index = 0
        self._closed = threading.Event()
        self._pacer = Pacer(self._closed)
        self._device = os.open(os.devnull, os.O_RDONLY)

    def read(self) -> Frame | None:
        import numpy as np

        self._pacer.wait(1 / self._fps)
        if self._closed.is_set() or time.monotonic() > self.world.ends_at:
            return None
        self.world.serial += 1
        stamp = np.array([self.world.serial, self.world.connection], np.uint32).view(np.uint8)
        height, width = self._size
        pixels = np.tile(stamp, height * width * 3 // len(stamp)).reshape(height, width, 3)
        self._index += 1
        return Frame(pixels, self._index - 1, time.monotonic())

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            os.close(self._device)

    def reopen(self) -> Source:
        self.world.connection += 1
        return StampedCamera(fps=self._fps, size=self._size, world=self.world)

    def describe(self) -> str:
        return f"stamped camera, {self._fps:g} fps"


def stamp_of(pixels: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return serial and connection number of a frame, uint8 (H, W, 3), or None if no camera took it."""
    import numpy as np

    values = np.ascontiguousarray(pixels).reshape(-1).view(np.uint32).reshape(-1, 2)
    return (int(values[0, 0]), int(values[0, 1])) if (values == values[0]).all() else None


@dataclass(frozen=True)
class FaultRun:
    """Result of a run under faults.

    Attributes:
        faults: Number of faults.
        results: Number of classified frames.
        invented: Classified frames that no camera took.
        again: Classified frames that were classified before, or are older than a classified one.
        stale: Frames from before a reconnect that were classified after it.
        uncounted: Number of frames and reconnects by which the counters of loop and camera differ or do not add up.
        reconnects: Number of reconnects.
        seconds: Duration.
    """

    faults: int
    results: int
    invented: int
    again: int
    stale: int
    uncounted: int
    reconnects: int
    seconds: float

    @property
    def wrong(self) -> int:
        """Number of frames that should not have been classified."""
        return self.invented + self.again + self.stale


def run_faults(
    classifier: Classifier,
    faults: Iterable[Fault],
    *,
    count: int,
    rules: CaptureRules,
    fps: float = 1000.0,
    size: tuple[int, int] = (32, 32),
    on_result: Callable[[int], None] | None = None,
    on_fault: Callable[[int], None] | None = None,
) -> FaultRun:
    """Run the live loop until ``count`` faults have happened.

    Args:
        classifier: Model to run.
        faults: Schedule of at least ``count`` faults; the rest is ignored.
        count: Number of faults.
        rules: Rules of the capture.
        fps: Frame rate of the camera.
        size: Frame size (height, width).
        on_result: Called with the number of reconnects so far, after each result.
        on_fault: Called with the number of faults so far, before each frame.
    """
    from itertools import islice

    from edge_runtime import live

    camera = StampedCamera(fps=fps, size=size)
    world, source = camera.world, FaultySource(camera, islice(faults, count))
    last_serial = connection = invented = again = stale = results = 0
    began = time.monotonic()

    def before_frame() -> None:
        # Frames classified from now on must not come from an earlier connection.
        nonlocal connection
        connection = world.connection
        if on_fault is not None:
            on_fault(source.tally["fault"])
        if source.tally["fault"] == count and world.ends_at == float("inf"):
            world.ends_at = time.monotonic() + _END_S

    for result in live(classifier, source, top_k=1, capture=rules, heartbeat=before_frame):
        results += 1
        stamp = stamp_of(result.frame.pixels)
        if stamp is None:
            invented += 1
            continue
        again += stamp[0] <= last_serial
        stale += stamp[1] < connection
        last_serial = stamp[0]
        if on_result is not None:
            on_result(result.counters.reconnects)
    seen, tally = result.counters, source.tally
    pairs = (
        (seen.captured, seen.classified + seen.dropped + seen.skipped + seen.repeated + seen.malformed),
        (seen.captured, tally["frame"] + tally["freeze"] + tally["garbage"]),
        (seen.classified, results),
        (seen.repeated, tally["freeze"]),
        (seen.malformed, tally["garbage"]),
        (seen.reconnects, tally["reopen"]),
    )
    return FaultRun(
        faults=tally["fault"],
        results=results,
        invented=invented,
        again=again,
        stale=stale,
        uncounted=sum(abs(one - other) for one, other in pairs),
        reconnects=seen.reconnects,
        seconds=time.monotonic() - began,
    )


def mixed_faults(*, rate: float, seconds: float, seed: int, stall_s: float) -> Iterator[Fault]:
    """Yield faults of all types without end; one in 50 is a stall of ``stall_s``, longer than the rules allow."""
    for number, fault in enumerate(random_faults(rate=rate, seconds=seconds, seed=seed)):
        yield Fault("stall", fault.at, stall_s) if number % 50 == 25 else fault


@contextmanager
def impatient() -> Iterator[None]:
    """Shorten the delays between attempts to reopen, for a day's reconnects in minutes."""
    from edge_runtime.live_loop import capture

    before = {name: getattr(capture, name) for name in ("FIRST_DELAY_S", "LONGEST_DELAY_S")}
    try:
        for name in before:
            setattr(capture, name, 0.001)
        yield
    finally:
        for name, value in before.items():
            setattr(capture, name, value)


@dataclass(frozen=True)
class Holdings:
    """Resources that this process holds.

    Attributes:
        memory_bytes: Resident memory.
        threads: Number of threads.
        files: Number of open files.
    """

    memory_bytes: int
    threads: int
    files: int

    @classmethod
    def now(cls) -> Holdings:
        """Read the current values from ``/proc``."""
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        folder = Path("/proc/self")
        counts = [sum(1 for _ in (folder / name).iterdir()) for name in ("task", "fd")]
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), *counts)

    @classmethod
    def growth(cls, samples: Sequence[Holdings]) -> Holdings:
        """Return the growth from the third to the last quarter of samples that cover a whole run.

        The first half is warm-up, in which caches fill and the allocator grows. Medians ignore frames and threads that
        are in use for a moment.
        """
        half = samples[len(samples) // 2 :]
        third, last = half[: len(half) // 2], half[len(half) // 2 :]

        def grown(name: str) -> int:
            before, after = (int(median(getattr(held, name) for held in part)) for part in (third, last))
            return after - before

        return cls(grown("memory_bytes"), grown("threads"), grown("files"))
