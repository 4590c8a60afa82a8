"""Recordings: folders of pictures with an index that says when each was taken."""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from edge_runtime.errors import OutputError, SourceError
from edge_runtime.sources.base import Pace
from edge_runtime.sources.pictures import Picture, PictureSource
from edge_runtime.types import Frame

PictureFormat = Literal["jpg", "png"]
"""``"jpg"``: small files; ``"png"``: lossless."""

INDEX_NAME = "recording.jsonl"
"""Index file of a recording: one JSON object per line, first a header, then the file name and time of each picture."""
_VERSION = 1
_JPEG_QUALITY = 95


class Recorder:
    """Writes frames into a new recording. Each is saved at once, so an interrupted recording keeps all frames so far.

    Args:
        folder: Path of a new or empty folder.
        picture_format: ``"jpg"`` for small files, ``"png"`` for lossless ones.
        origin: Description of the source, stored in the index.

    Raises:
        OutputError: The folder cannot be created or is not empty.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, picture_format: PictureFormat = "jpg", origin: str = ""
    ) -> None:
        self.path = Path(folder)
        self.count = 0
        self._suffix = picture_format
        self._first_at = 0.0
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            occupied = any(self.path.iterdir())
            if not occupied:
                self._index = (self.path / INDEX_NAME).open("x", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"Cannot write a recording to {folder}: {error.strerror}.") from error
        if occupied:
            raise OutputError(f"The folder {folder} is not empty. Choose a new or an empty one for the recording.")
        self._write_line({"version": _VERSION, "origin": origin, "began": round(time.time(), 3)})

    def write(self, frame: Frame) -> None:
        """Add a frame.

        Raises:
            OutputError: The frame cannot be written, for example because the disk is full.
        """
        import cv2

        if self.count == 0:
            self._first_at = frame.at
        name = f"{self.count:06d}.{self._suffix}"
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if self._suffix == "jpg" else []
        _, data = cv2.imencode(f".{self._suffix}", frame.pixels, options)
        try:
            (self.path / name).write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(f"Cannot write {self.path / name}: {error.strerror}.") from error
        # The index comes last, so that it never names a picture that is not there.
        self._write_line({"file": name, "at_s": round(frame.at - self._first_at, 6)})
        self.count += 1

    def close(self) -> None:
        """Close the recording."""
        self._index.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write_line(self, content: dict[str, Any]) -> None:
        try:
            self._index.write(json.dumps(content) + "\n")
            self._index.flush()
        except OSError as error:
            raise OutputError(f"Cannot write {self.path / INDEX_NAME}: {error.strerror}.") from error


class RecordingSource(PictureSource):
    """Plays a recording at its recorded pace or as fast as possible.

    Args:
        path: Path of the folder.
        pace: ``"fast"``, or ``"realtime"`` for the recorded intervals.
        loop: If True, start again at the end.
        fps: Frames per second to play at, instead of the recorded times.

    Raises:
        SourceError: The folder is not a recording, or its index is empty or damaged.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, pace: Pace = "fast", loop: bool = False, fps: float | None = None
    ) -> None:
        super().__init__(Path(path), _pictures(Path(path), fps), pace=pace, loop=loop)

    def describe(self) -> str:
        """See `Source.describe`."""
        length_s = sum(picture.gap_s for picture in self._pictures[1:])
        pace = "at its recorded pace" if self.paced else "as fast as possible"
        return f"recording {self.path}, {len(self._pictures)} pictures, {length_s:.1f} s, {pace}"


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Return True if a folder is a recording rather than a folder of single pictures."""
    return (Path(path) / INDEX_NAME).is_file()


def _pictures(folder: Path, fps: float | None) -> list[Picture]:
    def refusal(reason: str) -> SourceError:
        return SourceError(f"Cannot play the recording {folder}: its {INDEX_NAME} {reason}. Record it again.")

    try:
        text = (folder / INDEX_NAME).read_text(encoding="utf-8")
    except OSError as error:
        raise refusal(f"cannot be read: {error.strerror}") from error
    try:
        head, *taken = [json.loads(line) for line in text.split("\n")[:-1]]  # a line without its end was cut off
        version = head["version"]
        files = [str(entry["file"]) for entry in taken]
        times = [float(entry["at_s"]) for entry in taken]
    except (ValueError, KeyError, TypeError) as error:
        raise refusal(f"is damaged ({error!r})") from error
    if version != _VERSION:
        raise refusal(f"has version {version}, and this edge-runtime reads version {_VERSION}")
    if not files:
        raise refusal("lists no pictures")
    if any(Path(file).name != file for file in files):
        raise refusal("lists files outside the folder")
    gaps = [1 / fps if fps else max(after - before, 0.0) for before, after in pairwise(times)]
    typical_s = sorted(gaps)[len(gaps) // 2] if gaps else 1.0  # from the last picture to the first, when looping
    return [Picture(folder / file, file, gap_s) for file, gap_s in zip(files, [typical_s, *gaps], strict=True)]
