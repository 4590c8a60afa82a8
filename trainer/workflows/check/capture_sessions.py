"""Finds capture sessions in several splits: testing on a photo taken a second after a training photo measures memory.

Sessions are found by EXIF time, or by a time or a counter in the file name. Cameras and phones count all their photos,
so a counter marks a session only if successive pictures look alike, as the frames of a video do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from trainer.data.grouping import bursts
from trainer.data.photo_quality import Measures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TIME = re.compile(
    r"(?<!\d)((?:19|20)\d{2})[-_.]?(\d{2})[-_.]?(\d{2})[-_. T]?(?:at )?(\d{2})[-_.h]?(\d{2})[-_.m]?(\d{2})"
)
_COUNTER = re.compile(r"^(.*?)(\d{1,9})\D{0,3}$")
_ALIKE = 0.8  # median correlation of successive thumbnails; 0.2 for unrelated pictures
_MIN_PAIRS = 5  # successive pictures; fewer are not enough to decide


@dataclass(frozen=True)
class Leak:
    """Capture session with photos in more than one split.

    Attributes:
        known_by: ``"EXIF time"``, ``"time in the name"`` or ``"counter in the name"``.
        paths: Paths of its photos, in order of time.
        splits: Split of each photo.
    """

    known_by: str
    paths: tuple[str, ...]
    splits: tuple[str, ...]


def leaks(
    paths: Sequence[str], splits: Sequence[str], times: Sequence[datetime | None], measures: Sequence[Measures]
) -> list[Leak]:
    """Find capture sessions in several splits.

    Args:
        paths: Paths of the photos.
        splits: Split of each photo.
        times: EXIF time of each photo; None if it has none.
        measures: Measures of each photo.

    Returns:
        The sessions, largest first.
    """
    named = [_time_in(path) if time is None else None for path, time in zip(paths, times, strict=True)]
    found = []
    for known_by, sessions in (
        ("EXIF time", _by_time(times)),
        ("time in the name", _by_time(named)),
        ("counter in the name", _by_counter(paths, measures)),
    ):
        for session in sessions:
            here = tuple(splits[index] for index in session)
            if len(set(here)) > 1:
                found.append(Leak(known_by, tuple(paths[index] for index in session), here))
    return sorted(found, key=lambda leak: -len(leak.paths))


def _by_time(times: Sequence[datetime | None]) -> Iterator[list[int]]:
    sessions: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(bursts(times)):
        if name:
            sessions[name].append(index)
    for session in sessions.values():
        yield sorted(session, key=lambda index: times[index] or datetime.min)


def _time_in(path: str) -> datetime | None:
    match = _TIME.search(PurePosixPath(path).name)
    try:
        return datetime(*(int(part) for part in match.groups())) if match else None  # type: ignore[arg-type]
    except ValueError:  # digits, but no date
        return None


def _by_counter(paths: Sequence[str], measures: Sequence[Measures]) -> Iterator[list[int]]:
    import numpy as np

    series: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for index, path in enumerate(paths):
        file = PurePosixPath(path)
        match = None if _TIME.search(file.name) else _COUNTER.match(file.stem)
        if match:
            # The class folder is part of the series' name, the split folder isn't.
            series[file.parent.name, match[1]][int(match[2])] = index
    for numbers in series.values():
        pairs = [(index, numbers[number + 1]) for number, index in sorted(numbers.items()) if number + 1 in numbers]
        if len(pairs) < _MIN_PAIRS:
            continue
        alike = [_correlation(measures[a].thumb, measures[b].thumb) for a, b in pairs]
        if np.median(alike) < _ALIKE:
            continue
        run = [pairs[0][0]]
        for (one, other), similarity in zip(pairs, alike, strict=True):
            if one != run[-1]:  # numbers are missing
                yield run
                run = [one]
            if similarity < _ALIKE:  # a new scene begins
                yield run
                run = []
            run.append(other)
        yield run


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    import numpy as np

    a, b = (thumb.astype(np.float64) - thumb.mean() for thumb in (one, other))
    return float((a * b).sum() / max(np.sqrt((a * a).sum() * (b * b).sum()), 1e-9))
