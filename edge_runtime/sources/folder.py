"""Pictures in a folder, or one picture."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

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
"""Larger files are refused: more than a PNG of 16 bits a channel takes."""


class FolderSource(Source):
    """The pictures of a folder and of the folders in it, by name; turned upright as their EXIF data says."""

    continuous = False

    def __init__(
        self, path: str | os.PathLike[str], *, pace: Pace = "fast", loop: bool = False, fps: float | None = None
    ) -> None:
        """Lists the pictures.

        Args:
            path: Of a folder, or of one picture.
            pace: ``"fast"`` or ``"realtime"``.
            loop: Start again at the end.
            fps: Pictures per second for ``"realtime"``; None is 1.

        Raises:
            SourceError: There is no picture.
        """
        self.path = Path(path)
        self.paced = pace == "realtime"
        self.fps = fps or 1.0
        self._loop = loop
        self._files = list_pictures(self.path)
        self._next = 0
        self._index = 0
        self._closed = threading.Event()
        self._pacer = Pacer(self._closed)

    def read(self) -> Frame | None:
        """See `Source.read`."""
        while not self._closed.is_set():
            if self._next == len(self._files):
                if self._index == 0:
                    raise SourceError(f"Expected pictures in {self.path}, none of its {self._next} can be decoded.")
                if not self._loop:
                    return None
                self._next = 0
            file = self._files[self._next]
            self._next += 1
            captured_at = time.monotonic()
            try:
                pixels = read_picture(file)
            except SourceError as error:
                if len(self._files) == 1:
                    raise
                logger.warning("%s Left out.", error)
                continue
            if self.paced:
                self._pacer.wait(1 / self.fps)
                captured_at = time.monotonic()
            name = file.name if file == self.path else str(file.relative_to(self.path))
            frame = Frame(pixels, self._index, captured_at, name)
            self._index += 1
            return frame
        return None

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()

    def describe(self) -> str:
        """See `Source.describe`."""
        kind = f"picture {self.path}" if self._files == [self.path] else f"{len(self._files)} pictures in {self.path}"
        return f"{kind}, {f'{self.fps:g} a second' if self.paced else 'as fast as it goes'}"


def list_pictures(path: str | os.PathLike[str]) -> list[Path]:
    """The pictures of a folder and of the folders in it, by name; a file's own path for a file.

    Raises:
        SourceError: There is no such path, or no picture in it.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SourceError(f"Expected a picture or a folder of pictures at {path}, there is nothing. Check the path.")
    found = (file for file in path.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES)
    files = sorted(file for file in found if file.is_file() and not file.name.startswith("."))
    if not files:
        known = ", ".join(sorted(PICTURE_SUFFIXES))
        raise SourceError(f"Expected pictures ({known}) in the folder {path}, found none.")
    return files


def read_picture(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Decodes a picture file into uint8 (H, W, 3) BGR, 0–255.

    Raises:
        SourceError: It can't be read, is no picture, or larger than `picture_file.MAX_PIXELS`.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"Expected a picture at {name}, it can't be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise SourceError(f"Expected a picture of at most {MAX_BYTES:,} bytes, got more in {name}. Scale it down.")
    try:
        with quiet_opencv():
            return decode_picture(data, name=name)
    except PictureError as error:
        raise SourceError(str(error)) from None
