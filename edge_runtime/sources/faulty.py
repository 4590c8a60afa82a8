"""A camera that fails on purpose, on a schedule: for tests of what is built on the live loop."""

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
    """Something that goes wrong.

    Attributes:
        kind: ``"drop"``: frames are lost. ``"stall"``: `read` hangs, as in a driver, also when it is closed meanwhile.
            ``"freeze"``: the picture stays the same, to the byte. ``"garbage"``: what comes is no picture.
            ``"disconnect"``: `read` fails, and so does `reopen` while it lasts.
        at: Frames before it, counted through all disconnects; it waits until the fault before it is over.
        seconds: How long it lasts, at least one frame; reopening ends a stall, a freeze and garbage earlier.
    """

    kind: FaultKind
    at: int
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"Expected a fault of kind {', '.join(KINDS)}, got {self.kind!r}.")
        if self.at < 0 or not 0 <= self.seconds < float("inf"):
            raise ValueError(f"Expected at and seconds of at least 0, got {self.at} and {self.seconds:g}.")


def random_faults(
    *, rate: float = 0.02, seconds: float = 1.0, seed: int = 0, kinds: Iterable[FaultKind] = KINDS
) -> Iterator[Fault]:
    """Faults without end, the same ones for the same seed.

    Args:
        rate: Faults a frame, on average.
        seconds: How long they last, on average; each between nothing and twice that.
        seed: Of the schedule.
        kinds: What may happen, each as often as the others.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"Expected a rate of faults above 0, at most 1, got {rate:g}.")
    rng, chosen, at = random.Random(seed), tuple(kinds), 0
    while True:
        at += 1 + int(rng.expovariate(rate))
        yield Fault(rng.choice(chosen), at, rng.uniform(0, 2 * seconds))


class FaultySource(Source):
    """Plays another source as a camera that fails now and then.

    To see what your own script does when its camera is unplugged after 50 frames, and back 3 seconds later::

        from edge_runtime.sources.faulty import Fault, FaultySource
        from edge_runtime.sources.synthetic import SyntheticSource

        scene = SyntheticSource(pace="realtime")
        camera = FaultySource(scene, [Fault("disconnect", at=50, seconds=3.0)])
        my_script(camera)
        assert camera.tally["disconnect"] == 1

    On the command line it is ``--source faulty``, or ``--source faulty:disconnect@50:3,stall@200:5``.

    A source that is live itself is closed and reopened with this one. Another one plays on while the "camera" is away,
    and stays open: it belongs to whoever opened it.

    Attributes:
        tally: What was done, over all connections: ``"fault"``: how many began; ``"frame"``: good frames delivered;
            ``"drop"``: lost ones; ``"freeze"`` and ``"garbage"``: repeated and spoiled ones, delivered; ``"stall"``
            and ``"disconnect"``: how often; ``"reopen"``: how often it was reopened.
        back_at: When it was or will be back from its last disconnect, by `time.monotonic`; 0 without one.
    """

    live = True

    def __init__(self, source: Source, faults: Iterable[Fault]) -> None:
        """Plugs the camera in.

        Args:
            source: Gives the pictures, best at a camera's pace.
            faults: In the order of their frames; may be without end, as `random_faults` is.
        """
        self._source = source
        self._schedule = _Schedule(faults)
        self._reading = threading.Lock()  # a thread that was left behind may still read what isn't reopened
        self._closed = threading.Event()
        self._unplugged = False
        self._index = 0
        self._pixels: NDArray[np.uint8] | None = None  # the last good ones of this connection

    @property
    def tally(self) -> Counter[str]:
        """See the class."""
        return self._schedule.tally

    @property
    def back_at(self) -> float:
        """See the class."""
        return self._schedule.back_at

    def read(self) -> Frame | None:
        """See `Source.read`."""
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
        """See `Source.reopen`."""
        away_s = self.back_at - time.monotonic()
        if away_s > 0:
            raise CameraError(f"Expected the faulty camera, it is unplugged for another {away_s:.1f} s, as scheduled.")
        fresh = copy(self)  # the schedule is one and the same
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
        self._index += 1
        return Frame(pixels, self._index - 1, captured_at)


class _Schedule:
    """What outlives a disconnect."""

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
        """What happens to the frame that was just read."""
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
        """Ends what reopening cures, and counts it."""
        with self._lock:
            self.tally["reopen"] += 1
            self._current = None


def open_faulty(spec: str, source: Source) -> FaultySource:
    """Makes a source fail as a text says.

    Args:
        spec: ``"faulty"``, which is ``"faulty:rate=0.02,seconds=1,seed=0"`` (see `random_faults`), or a schedule as
            ``"faulty:stall@50:2.5,garbage@120"``: kind, frame, and how many seconds.
        source: See `FaultySource`.

    Raises:
        SourceError: The text says something else.
    """
    parts = [part for part in spec.partition(":")[2].split(",") if part]
    try:
        if any("@" in part for part in parts):
            return FaultySource(source, sorted(map(_fault, parts), key=lambda fault: fault.at))
        settings: dict[str, Any] = {}
        for part in parts:
            name, _, text = part.partition("=")
            if name not in ("rate", "seconds", "seed"):
                raise ValueError(f"{name!r} is no setting.")
            settings[name] = int(text) if name == "seed" else float(text)
        next(random_faults(**settings))  # it checks them when it begins
        return FaultySource(source, random_faults(**settings))
    except ValueError as error:
        raise SourceError(
            "Expected faults as in 'faulty:rate=0.02,seconds=1,seed=0' or 'faulty:stall@50:2.5,garbage@120' (kinds: "
            f"{', '.join(KINDS)}), got {spec!r}: {error}"
        ) from error


def _fault(text: str) -> Fault:
    kind, _, rest = text.partition("@")
    at, _, seconds = rest.partition(":")
    return Fault(kind, int(at), float(seconds or 0))  # type: ignore[arg-type]  # checked when made


def _garbage(pixels: NDArray[np.uint8], number: int) -> Any:
    """What drivers and decoders were seen to give instead of a picture, in turns."""
    import numpy as np

    spoiled = (
        lambda: np.empty((0, 0, 3), np.uint8),
        lambda: pixels.reshape(1, -1),  # the raw bytes of an unknown format
        lambda: pixels[:, :, 0],
        lambda: pixels.astype(np.float32) / 255,
        lambda: np.zeros((*pixels.shape[:2], 4), np.uint8),
        lambda: None,
    )
    return spoiled[number % len(spoiled)]()
