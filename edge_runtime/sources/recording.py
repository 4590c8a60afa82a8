"""A recorded session: a folder of pictures, and an index that tells when each was taken."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from edge_runtime.errors import OutputError, SourceError
from edge_runtime.sources.base import Pace, Pacer, Source
from edge_runtime.sources.folder import read_picture
from edge_runtime.types import Frame

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger(__name__)

INDEX_NAME = "recording.jsonl"
"""One JSON object a line, first a head, then the file and the time of each picture. What makes a folder a recording."""
_VERSION = 1
_JPEG_QUALITY = 95


class Recorder:
    """Writes frames into a new recording, each as it comes: one that is cut off is whole up to there."""

    def __init__(
        self, folder: str | os.PathLike[str], *, picture_format: Literal["jpg", "png"] = "jpg", origin: str = ""
    ) -> None:
        """Makes the folder.

        Args:
            folder: A new one, or an empty one.
            picture_format: ``"jpg"`` is smaller, ``"png"`` keeps every pixel as it is.
            origin: What is recorded, for people.

        Raises:
            OutputError: It can't be made, or something is in it.
        """
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
            raise OutputError(f"Expected to write a recording into {folder}, got: {error.strerror}.") from error
        if occupied:
            raise OutputError(f"Expected a new or an empty folder for a recording, got {folder}. Choose another one.")
        self._write_line({"version": _VERSION, "origin": origin, "began": round(time.time(), 3)})

    def write(self, frame: Frame) -> None:
        """Adds a frame.

        Raises:
            OutputError: It can't be written, for example because the disk is full.
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
            raise OutputError(f"Expected to write {self.path / name}, got: {error.strerror}.") from error
        self._write_line({"file": name, "at_s": round(frame.at - self._first_at, 6)})  # last: the picture is there
        self.count += 1

    def close(self) -> None:
        """Ends the recording."""
        self._index.close()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_line(self, content: dict[str, Any]) -> None:
        try:
            self._index.write(json.dumps(content) + "\n")
            self._index.flush()
        except OSError as error:
            raise OutputError(f"Expected to write {self.path / INDEX_NAME}, got: {error.strerror}.") from error


class RecordingSource(Source):
    """Plays a recording, at its own pace or as fast as it goes."""

    def __init__(
        self, path: str | os.PathLike[str], *, pace: Pace = "fast", loop: bool = False, fps: float | None = None
    ) -> None:
        """Reads the index.

        Args:
            path: Of the folder.
            pace: ``"fast"``, or ``"realtime"``: as far apart as when they were taken.
            loop: Start again at the end.
            fps: Rate for ``"realtime"`` instead of the recorded times; None keeps these.

        Raises:
            SourceError: It is no recording, or an empty or damaged one.
        """
        self.path = Path(path)
        self.paced = pace == "realtime"
        self._loop = loop
        self._entries = _entries(self.path, fps)
        self._next = 0
        self._index = 0
        self._position_s = 0.0
        self._closed = threading.Event()
        self._pacer = Pacer(self._closed)

    def read(self) -> Frame | None:
        """See `Source.read`."""
        gap_s = 0.0  # with those of pictures that are left out
        while not self._closed.is_set():
            if self._next == len(self._entries):
                if self._index == 0:
                    raise SourceError(f"Expected pictures in the recording {self.path}, none can be decoded.")
                if not self._loop:
                    return None
                self._next = 0
            entry = self._entries[self._next]
            self._next += 1
            gap_s += entry.gap_s
            captured_at = time.monotonic()
            try:
                pixels = read_picture(self.path / entry.file)
            except SourceError as error:
                logger.warning("%s Left out.", error)
                continue
            if self.paced:
                self._pacer.wait(gap_s)
                captured_at = time.monotonic()
            if self._index:
                self._position_s += gap_s
            frame = Frame(pixels, self._index, captured_at, entry.file, self._position_s)
            self._index += 1
            return frame
        return None

    def close(self) -> None:
        """See `Source.close`."""
        self._closed.set()

    def describe(self) -> str:
        """See `Source.describe`."""
        length_s = sum(entry.gap_s for entry in self._entries[1:])
        pace = "at its own pace" if self.paced else "as fast as it goes"
        return f"recording {self.path}, {len(self._entries)} pictures, {length_s:.1f} s, {pace}"


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a recording, and not just pictures."""
    return (Path(path) / INDEX_NAME).is_file()


@dataclass(frozen=True)
class _Entry:
    """A picture, and how long after the one before it was taken; for the first, what is fit for a loop."""

    file: str
    gap_s: float


def _entries(folder: Path, fps: float | None) -> list[_Entry]:
    def refusal(reason: str) -> SourceError:
        return SourceError(f"Expected a recording in {folder}, its {INDEX_NAME} {reason}. Record it again.")

    try:
        text = (folder / INDEX_NAME).read_text(encoding="utf-8")
    except OSError as error:
        raise refusal(f"can't be read: {error.strerror}") from error
    try:
        head, *taken = [json.loads(line) for line in text.split("\n")[:-1]]  # without its end, a line was cut off
        version = head["version"]
        files = [str(entry["file"]) for entry in taken]
        times = [float(entry["at_s"]) for entry in taken]
    except (ValueError, KeyError, TypeError) as error:
        raise refusal(f"is damaged ({error!r})") from error
    if version != _VERSION:
        raise refusal(f"is of version {version}, not {_VERSION}")
    if not files:
        raise refusal("names no picture")
    if any(Path(file).name != file for file in files):
        raise refusal("names files of another folder")
    gaps = [1 / fps if fps else max(after - before, 0.0) for before, after in pairwise(times)]
    typical_s = sorted(gaps)[len(gaps) // 2] if gaps else 1.0
    return [_Entry(file, gap_s) for file, gap_s in zip(files, [typical_s, *gaps], strict=True)]
