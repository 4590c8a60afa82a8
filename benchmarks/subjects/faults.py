"""A camera whose pictures say which ones they are, and the live loop on it while much goes wrong."""

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

_END_S = 2.0  # of undisturbed frames, so that the last fault is over when the camera ends


@dataclass
class _World:
    """What goes on while a camera is unplugged.

    Attributes:
        serial: Of the newest picture, from 1.
        connection: How often the camera was plugged in again.
        ends_at: When the camera comes to its end, by `time.monotonic`.
    """

    serial: int = 0
    connection: int = 0
    ends_at: float = float("inf")


class StampedCamera(Source):
    """Each picture is filled with its serial number and the number of its connection; a file is open meanwhile."""

    live = True

    def __init__(self, *, fps: float, size: tuple[int, int] = (32, 32), world: _World | None = None) -> None:
        """``size`` is (height, width), their product a multiple of 8."""
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
    """Serial number and connection of a picture; None for one that no camera took."""
    import numpy as np

    values = np.ascontiguousarray(pixels).reshape(-1).view(np.uint32).reshape(-1, 2)
    return (int(values[0, 0]), int(values[0, 1])) if (values == values[0]).all() else None


@dataclass(frozen=True)
class FaultRun:
    """What came of it.

    Attributes:
        faults: That happened.
        results: Frames that were classified.
        invented: Of those, which no camera took.
        again: Of those, which were classified before, or are older than one that was.
        stale: Of those, which were taken before the camera was reopened, although it was reopened by then.
        uncounted: By how many frames and reopenings the loop's counters and the camera's differ, or don't add up.
        reconnects: How often the camera was reopened.
        seconds: How long it took.
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
        """Frames that shouldn't have been classified."""
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
    """Runs the live loop until ``count`` faults have happened.

    Args:
        classifier: Answers the pictures.
        faults: At least ``count``; the ones after that don't happen if the camera has ended by then.
        count: Faults.
        rules: Of the capture.
        fps: Of the camera.
        size: (height, width) of its pictures.
        on_result: Called with the number of reconnects so far after each result.
        on_fault: Called with the number of faults so far, now and then.
    """
    from itertools import islice

    from edge_runtime import live

    camera = StampedCamera(fps=fps, size=size)
    world, source = camera.world, FaultySource(camera, islice(faults, count))
    last_serial = connection = invented = again = stale = results = 0
    began = time.monotonic()

    def before_frame() -> None:
        # What is taken from now on mustn't be older than the connection that stands now.
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
    """Faults of every kind without end; one in 50 is a silence of ``stall_s``, longer than the rules allow."""
    for number, fault in enumerate(random_faults(rate=rate, seconds=seconds, seed=seed)):
        yield Fault("stall", fault.at, stall_s) if number % 50 == 25 else fault


@contextmanager
def impatient() -> Iterator[None]:
    """Hardly a delay between attempts to reopen: a day's reconnects in minutes."""
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
    """What this process holds.

    Attributes:
        memory_bytes: Resident.
        threads: That live.
        files: That are open.
    """

    memory_bytes: int
    threads: int
    files: int

    @classmethod
    def now(cls) -> Holdings:
        """Reads them from ``/proc``."""
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        folder = Path("/proc/self")
        counts = [sum(1 for _ in (folder / name).iterdir()) for name in ("task", "fd")]
        return cls(pages * os.sysconf("SC_PAGE_SIZE"), *counts)

    @classmethod
    def growth(cls, samples: Sequence[Holdings]) -> Holdings:
        """From the third quarter of a run to the last, of looks that were taken all the while.

        The first half warms up: caches fill, the allocator finds its size. The median of many looks is what is held
        for good: frames and threads that are under way come and go.
        """
        half = samples[len(samples) // 2 :]
        third, last = half[: len(half) // 2], half[len(half) // 2 :]

        def grown(name: str) -> int:
            before, after = (int(median(getattr(held, name) for held in part)) for part in (third, last))
            return after - before

        return cls(grown("memory_bytes"), grown("threads"), grown("files"))
