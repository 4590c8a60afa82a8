"""Pictures in a folder, or a single picture."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.sources.base import Pace
from edge_runtime.sources.pictures import Picture, PictureSource, list_pictures


class FolderSource(PictureSource):
    """The pictures of a folder and its subfolders, sorted by path and rotated as their EXIF data says.

    Args:
        path: Path of a folder, or of one picture.
        pace: ``"fast"`` or ``"realtime"``.
        loop: If True, start again at the end.
        fps: Pictures per second with ``"realtime"``; default 1.

    Raises:
        SourceError: The path does not exist, or the folder contains no pictures.
    """

    continuous = False

    def __init__(
        self, path: str | os.PathLike[str], *, pace: Pace = "fast", loop: bool = False, fps: float | None = None
    ) -> None:
        path = Path(path)
        self.fps = fps or 1.0
        files = list_pictures(path)
        names = (file.name if file == path else str(file.relative_to(path)) for file in files)
        pictures = [Picture(file, name, 1 / self.fps) for file, name in zip(files, names, strict=True)]
        super().__init__(path, pictures, pace=pace, loop=loop)

    def describe(self) -> str:
        """See `Source.describe`."""
        alone = self._pictures[0].path == self.path
        kind = f"picture {self.path}" if alone else f"{len(self._pictures)} pictures in {self.path}"
        return f"{kind}, {f'{self.fps:g} per second' if self.paced else 'as fast as possible'}"
