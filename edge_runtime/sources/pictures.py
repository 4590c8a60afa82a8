"""Picture files: listing, reading and playing them, for folders and recordings."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge_runtime.errors import PictureError, SourceError
from edge_runtime.pixels.decode import MAX_PIXELS, decode_picture
from edge_runtime.sources.base import Pace, Pacer, Source
from edge_runtime.sources.opencv import quiet_opencv
from edge_runtime.types import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
MAX_BYTES = 6 * MAX_PIXELS
"""Limit on the size of a picture file in bytes: more than a PNG with 16 bits per channel takes."""


class Picture(NamedTuple):
    """Picture file, its name in frames, and the seconds between it and the one before it."""

    path: Path
    name: str
    gap_s: float


class PictureSource(Source):
    """Plays a list of picture files. Files that cannot be decoded are skipped with a warning.

    Args:
        path: Folder or file that the pictures come from, for error messages.
        pictures: Pictures in playing order. The gap of the first is used when looping.
        pace: ``"fast"``, or ``"realtime"`` to keep the gaps.
        loop: If True, start again at the end.
    """

    def __init__(self, path: Path, pictures: Sequence[Picture], *, pace: Pace, loop: bool) -> None:
        self.path = path
        self.paced = pace == "realtime"
        self._loop = loop
        self._pictures = pictures
        self._next = 0

        self._position_s = 0.0
        self._closed = threading.Event()
        self._pacer = Pacer(self._closed)

    def read(self) -> Frame | None:
        """See `Source.read`.

        Raises:
            SourceError: None of the pictures can be decoded.
        """
        gap_s = 0.0
        while not self._closed.is_set():
            if self._next == len(self._pictures):
                if self._index == 0:
                    raise SourceError(f"None of the {self._next} pictures in {self.path} can be decoded.")
                if not self._loop:
                    return None
                self._next = 0
            picture = self._pictures[self._next]
            self._next += 1
            # A recording's time goes on while pictures are skipped; single pictures have no time.
            gap_s = picture.gap_s + (gap_s if self.continuous else 0.0)
            captured_at = time.monotonic()
            try:
                pixels = read_picture(picture.path)
            except SourceError as error:
                if len(self._pictures) == 1:
                    raise
                logger.warning("%s Skipped.", error)
                continue
            if self.paced:
                self._pacer.wait(gap_s)
                captured_at = time.monotonic()
            if self._index:
                self._position_s += gap_s
            position_s = self._position_s if self.continuous else None
            return self._frame(pixels, captured_at, name=picture.name, position_s=position_s)
        return None

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()


def list_pictures(path: str | os.PathLike[str]) -> list[Path]:
    """Return the pictures of a folder and its subfolders, sorted by path; for a file, its own path.

    Raises:
        SourceError: The path does not exist, or the folder contains no pictures.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"There is no picture or folder at {path}. Check the path.")
    found = (file for file in path.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
    files = sorted(file for file in found if file.is_file() and not file.name.startswith("."))
    if not files:
        known = ", ".join(sorted(PICTURE_SUFFIXES))
        raise SourceError(f"The folder {path} contains no pictures ({known}). Check the path.")
    return files


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read and decode a picture file.

    Returns:
        uint8 (H, W, 3) BGR, 0–255, upright as its EXIF data says.

    Raises:
        SourceError: The file cannot be read or decoded, or is larger than `MAX_BYTES` or `pixels.decode.MAX_PIXELS`.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"Cannot read the picture {name}: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"{name} is larger than {MAX_BYTES:,} bytes, the limit for a picture. Scale it down.")
    try:
        with quiet_opencv():
            return decode_picture(data, name=name)
    except PictureError as error:
        raise SourceError(str(error)) from None
