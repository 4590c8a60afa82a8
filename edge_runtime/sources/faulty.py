"""A simulated camera that fails on a schedule, for testing programs built on the live loop."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from edge_runtime.errors import CameraError, SourceError
from edge_runtime.sources.base import Source
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FaultKind = Literal["drop", "stall", "freeze", "garbage", "disconnect"]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True)
class Fault:
    """Scheduled fault of a simulated camera.

    Attributes:
        kind: ``"drop"``: frames are lost. ``"stall"``: `read` hangs as in a driver, even if the source is closed.
            ``"freeze"``: the same picture repeats, byte for byte. ``"garbage"``: frames are not valid pictures.
            ``"disconnect"``: `read` and `reopen` fail until it is over.
        at: Number of frames before the fault, counted across disconnects. It starts after the previous one has ended.
        seconds: Duration, at least one frame. Reopening ends a stall, freeze or garbage early.

    Raises:
        ValueError: The kind is unknown, or a number is negative or infinite.
    """

    kind: FaultKind
    at: int
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Unknown kind of fault {self.kind!r}. Use one of {', '.join(KINDS)}.")
        if self.at < 0 or not 0 <= self.seconds < float("inf"):
            raise ValueError(f"Frame and seconds of a fault must be at least 0, not {self.at} and {self.seconds:g}.")


def random_faults(
    *, rate: float = 0.02, seconds: float = 1.0, seed: int = 0, kinds: Iterable[FaultKind] = KINDS
) -> Iterator[Fault]:
    """Yield an endless random sequence of faults, the same for the same seed.

    Args:
        rate: Average number of faults per frame, above 0 and at most 1.
        seconds: Average duration; durations range from 0 to twice this.
        seed: Random seed.
        kinds: Kinds of fault, chosen with equal probability.

    Raises:
        ValueError: The rate is out of range.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"The rate of faults must be above 0 and at most 1, not {rate:g}.")
    rng, chosen, at = random.Random(seed), tuple(kinds), 0
    while True:
        at += 1 + int(rng.expovariate(rate))
        yield Fault(rng.choice(chosen), at, rng.uniform(0, 2 * seconds))


class FaultySource(Source):
    """Plays another source as a camera that fails on a schedule.

    For example, to test a script whose camera is unplugged after 50 frames and back 3 seconds later::

        from edge_runtime.sources.faulty import Fault, FaultySource
        from edge_runtime.sources.synthetic import SyntheticSource

        scene = SyntheticSource(pace="realtime")
        camera = FaultySource(scene, [Fault("disconnect", at=50, seconds=3.0)])
        my_script(camera)
        assert camera.tally["disconnect"] == 1

    On the command line, use ``--source faulty`` or ``--source faulty:disconnect@50:3,stall@200:5``.

    A live ``source`` is closed and reopened together with this one. Any other source goes on during a disconnect and
    is never closed: that is up to its owner.

    Args:
        source: Source of the frames, ideally at the rate of a camera.
        faults: Faults in the order of their frames; may be endless, like `random_faults`.
    """

    live = True

    def __init__(self, source: Source, faults: Iterable[Fault]) -> None:
        self._source = source
        self._schedule = _Schedule(faults)
        self._reading = threading.Lock()  # an abandoned thread may still be reading a source that is not reopened
        self._closed = threading.Event()
        self._unplugged = False
        self._pixels: NDArray[np.uint8] | None = None  # last good frame of this connection

    @property
    def tally(self) -> Counter[str]:
        """Counters over all connections.

        ``"fault"``: faults that began; ``"frame"``: good frames delivered; ``"drop"``: frames lost; ``"freeze"`` and
        ``"garbage"``: repeated and invalid frames delivered; ``"stall"``, ``"disconnect"``, ``"reopen"``: how often.
        """
        return self._schedule.tally

    @property
    def back_at(self) -> float:
        """`time.monotonic` at the end of the last disconnect, in seconds; 0 if there was none."""
        return self._schedule.back_at

    def read(self) -> Frame | None:
        """See `Source.read`.

        Raises:
            CameraError: The camera is disconnected.
        """
        while True:
            if self._unplugged:
                raise CameraError("The faulty camera was unplugged, as scheduled.")
            with self._reading:
                frame = None if self._closed.is_set() else self._source.read()
            if frame is None or self._closed.is_set():
                return None
            fault = self._schedule.fault()
            if fault is None:
                return self._deliver("frame", frame.pixels, frame.captured_at)
            if fault.kind == "disconnect":
                self._unplugged = True
            elif fault.kind == "stall":
                time.sleep(fault.seconds)
            elif fault.kind == "drop":
                self.tally["drop"] += 1
            elif fault.kind == "garbage":
                return self._deliver("garbage", _garbage(frame.pixels, self.tally["garbage"]), frame.captured_at)
            elif self._pixels is None:  # nothing to repeat yet
                return self._deliver("frame", frame.pixels, frame.captured_at)
            else:
                return self._deliver("freeze", self._pixels.copy(), frame.captured_at)

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()
        if self._source.live:
            self._source.close()

    def reopen(self) -> Source:
        """See `Source.reopen`.

        Raises:
            CameraError: The camera is still disconnected.
        """
        away_s = self.back_at - time.monotonic()
        if away_s > 0:
            raise CameraError(f"The faulty camera is unplugged for another {away_s:.1f} s, as scheduled.")
        fresh = copy(self)  # shares the schedule
        fresh._closed, fresh._unplugged, fresh._index, fresh._pixels = threading.Event(), False, 0, None
        if self._source.live:
            fresh._source, fresh._reading = self._source.reopen(), threading.Lock()
        self._schedule.reopened()
        return fresh

    def describe(self) -> str:
        """See `Source.describe`."""
        return f"faulty camera, {self._source.describe()}"

    def _deliver(self, kind: str, pixels: NDArray[np.uint8], captured_at: float) -> Frame:
        if kind == "frame":
            self._pixels = pixels.copy()
        self.tally[kind] += 1
        return self._frame(pixels, captured_at)


class _Schedule:
    """State that survives a disconnect."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.tally: Counter[str] = Counter()
        self.back_at = 0.0
        self._lock = threading.Lock()
        self._faults = iter(faults)
        self._next = next(self._faults, None)
        self._current: Fault | None = None
        self._until = 0.0
        self._frames = 0

    def fault(self) -> Fault | None:
        """Return the fault that affects the frame that was just read."""
        with self._lock:
            now = time.monotonic()
            self._frames += 1
            if now >= self._until:
                self._current = None
            if self._current is None and self._next is not None and self._frames > self._next.at:
                self._current, self._next = self._next, next(self._faults, None)
                self._until = now + self._current.seconds
                self.tally["fault"] += 1
                if self._current.kind == "disconnect":
                    self.back_at = self._until
                if self._current.kind in ("disconnect", "stall"):
                    self.tally[self._current.kind] += 1
            return self._current

    def reopened(self) -> None:
        """Count a reopening and end the current fault."""
        with self._lock:
            self.tally["reopen"] += 1
            self._current = None


def open_faulty(spec: str, source: Source) -> FaultySource:
    """Create a `FaultySource` from its command-line form.

    Args:
        spec: ``"faulty"``, short for ``"faulty:rate=0.02,seconds=1,seed=0"`` (see `random_faults`), or a schedule of
            ``KIND@FRAME[:SECONDS]`` such as ``"faulty:stall@50:2.5,garbage@120"``.
        source: Source of the frames.

    Raises:
        SourceError: The specification is invalid.
    """
    parts = [part for part in spec.partition(":")[2].split(",") if part]
    try:
        if any("@" in part for part in parts):
            return FaultySource(source, sorted(map(_fault, parts), key=lambda fault: fault.at))
        settings: dict[str, Any] = {}
        for part in parts:
            name, _, text = part.partition("=")
            if name not in ("rate", "seconds", "seed"):
                raise ValueError(f"{name!r} is not a setting.")
            settings[name] = int(text) if name == "seed" else float(text)
        next(random_faults(**settings))  # a generator checks its arguments only when it starts
        return FaultySource(source, random_faults(**settings))
    except ValueError as error:
        raise SourceError(
            f"The source {spec!r} is invalid ({str(error).rstrip('.')}). Write KIND@FRAME:SECONDS as in "
            "'faulty:stall@50:2.5,garbage@120', or 'faulty:rate=0.02,seconds=1,seed=0' for random faults."
        ) from error


def _fault(text: str) -> Fault:
    kind, _, rest = text.partition("@")
    at, _, seconds = rest.partition(":")
    return Fault(kind, int(at), float(seconds or 0))  # type: ignore[arg-type]  # __post_init__ checks it


def _garbage(pixels: NDArray[np.uint8], number: int) -> Any:
    """Return, in turn, what real drivers and decoders have delivered instead of a picture."""
    import numpy as np

    spoiled = (
        lambda: np.empty((0, 0, 3), np.uint8),
        lambda: pixels.reshape(1, -1),  # raw bytes of an unknown pixel format
        lambda: pixels[:, :, 0],
        lambda: pixels.astype(np.float32) / 255,
        lambda: np.zeros((*pixels.shape[:2], 4), np.uint8),
        lambda: None,
    )
    return spoiled[number % len(spoiled)]()
