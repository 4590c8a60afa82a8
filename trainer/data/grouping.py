"""Which photos belong together, so that a split must not part them: those of one session, burst or object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from trainer.data.images import ImageFacts
from trainer.errors import DatasetError

BURST_GAP = timedelta(seconds=60)
"""A longer pause between two exposures ends a burst: time enough to turn to another thing."""


class Groupable(Protocol):
    """What is asked of a photo."""

    @property
    def path(self) -> str:
        """Relative to the root."""

    @property
    def group(self) -> str:
        """As a list says, or empty."""

    @property
    def facts(self) -> ImageFacts:
        """When it was taken."""


def group_photos(root: Path, photos: Sequence[Groupable], group: str) -> list[str] | None:
    """Names the group of each photo.

    Args:
        root: For error messages.
        photos: The photos.
        group: As ``data.group`` of a recipe.

    Returns:
        A name for each, empty where a photo belongs to none; None where no groups are asked for.

    Raises:
        DatasetError: Groups are asked for, and not one photo has one.
    """
    if not group:
        names = [photo.group for photo in photos]
        return names if any(names) else None
    if group == "exif_time":
        names = bursts([photo.facts.taken_at for photo in photos])
        if not any(names):
            raise DatasetError(
                f"Expected EXIF times in the photos of {root}, for data.group = exif_time, found none. "
                "Group by their names with a regular expression instead."
            )
        return names
    matches = [re.search(group, photo.path) for photo in photos]
    names = [match[1] or "" if match else "" for match in matches]
    if not any(names):
        raise DatasetError(
            f"Expected data.group = {group!r} to match paths in {root}, it matches none, for example not "
            f"{photos[0].path if photos else 'any'}. Change it."
        )
    return names


def bursts(times: Sequence[datetime | None]) -> list[str]:
    """Names each time by the first of its burst; empty where there is no time."""
    names = [""] * len(times)
    known = sorted((time, index) for index, time in enumerate(times) if time is not None)
    first = previous = None
    for time, index in known:
        if first is None or previous is None or time - previous > BURST_GAP:
            first = time
        names[index] = first.isoformat()
        previous = time
    return names
