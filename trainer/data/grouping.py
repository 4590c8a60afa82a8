"""Groups of photos that a split keeps together: photos of one session, burst or object."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from trainer.data.images import ImageFacts
from trainer.errors import DatasetError

BURST_GAP = timedelta(seconds=60)
"""Longest pause between two photos of a burst; in a longer one, the camera can turn to another object."""


class Groupable(Protocol):
    """What grouping needs to know of a photo."""

    @property
    def path(self) -> str:
        """Path relative to the root."""

    @property
    def group(self) -> str:
        """Group given by the list, or empty."""

    @property
    def facts(self) -> ImageFacts:
        """Facts with the time it was taken."""


def group_photos(root: Path, photos: Sequence[Groupable], group: str) -> list[str] | None:
    """Return the group of each photo.

    Args:
        root: Folder of the photos, for error messages.
        photos: The photos.
        group: Value of ``data.group`` in the recipe.

    Returns:
        A group name for each photo, empty if it has no group; None if there are no groups at all.

    Raises:
        DatasetError: ``group`` is set, but no photo has a group.
    """
    if not group:
        names = [photo.group for photo in photos]
        return names if any(names) else None
    if group == "exif_time":
        names = bursts([photo.facts.taken_at for photo in photos])
        if not any(names):
            raise DatasetError(
                f"data.group is exif_time, but no photo in {root} has an EXIF time. "
                "Group by file name with a regular expression instead."
            )
        return names
    matches = [re.search(group, photo.path) for photo in photos]
    names = [match[1] or "" if match else "" for match in matches]
    if not any(names):
        raise DatasetError(
            f"data.group = {group!r} matches none of the photos in {root}"
            f"{f', such as {photos[0].path}' if photos else ''}. Adapt the regular expression to their paths."
        )
    return names


def bursts(times: Sequence[datetime | None]) -> list[str]:
    """Name each photo by the first time of its burst (ISO 8601); empty if it has no time."""
    names = [""] * len(times)
    known = sorted((time, index) for index, time in enumerate(times) if time is not None)
    first = previous = None
    for time, index in known:
        if first is None or previous is None or time - previous > BURST_GAP:
            first = time
        names[index] = first.isoformat()
        previous = time
    return names
