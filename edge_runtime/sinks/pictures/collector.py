"""Pictures for the next training: saved by class, without those that look like one before."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import OutputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LABEL = re.compile(r"\w(?:[\w .-]{0,62}[\w-])?")  # one folder's name: no separator, no dot at either end
_NAME_BYTES = 255  # of a file's name, in most file systems
_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})  # folder names that mean a split to the trainer
_HASH_CELLS = 16  # rows, and comparisons a row
_JPEG_QUALITY = 95
_KEPT_FREE_BYTES = 200 * 1024**2


@dataclass(frozen=True)
class ClassCount:
    """How a class stands.

    Attributes:
        label: Its name.
        pictures: In its folder.
        duplicates: Left out since the collector was made, because they look like one that is there.
    """

    label: str
    pictures: int
    duplicates: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"label": self.label, "pictures": self.pictures, "duplicates": self.duplicates}


class Collector:
    """Saves frames as ``FOLDER/<label>/<time>.jpg``, the layout that the trainer takes.

    A picture is compared with the newest ones of its class by a difference hash of 16×16 bits (Krawetz, "Kind of Like
    That", 2013, there with 8×8). Many threads may use one collector.

    Args:
        folder: Made when the first picture is saved.
        distance: Hashes that differ in so many of their 256 bits or fewer mean the same picture.
        recent: With how many of its class a picture is compared.
    """

    def __init__(self, folder: str | os.PathLike[str], *, distance: int = 10, recent: int = 200) -> None:
        self.folder = Path(folder)
        self._distance = distance
        self._recent = recent
        self._hashes: dict[str, deque[int]] = {}
        self._duplicates: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, label: str, pixels: NDArray[np.uint8]) -> Path | None:
        """Saves a frame, unless it looks like one of the class that is there.

        Args:
            label: Name of the class.
            pixels: uint8 (H, W, 3) BGR, 0–255.

        Returns:
            The file, or None for a near-duplicate.

        Raises:
            OutputError: The label can't be a folder's name, or it can't be written, or the disk is nearly full.
        """
        check_label(label)
        with self._lock:
            fingerprint = difference_hash(pixels)
            if any((fingerprint ^ other).bit_count() <= self._distance for other in self._known(label)):
                self._duplicates[label] = self._duplicates.get(label, 0) + 1
                return None
            path = self._save(label, pixels)
            self._known(label).append(fingerprint)
            return path

    def counts(self) -> tuple[ClassCount, ...]:
        """All classes, by name."""
        there = {entry.name for entry in self.folder.iterdir() if entry.is_dir()} if self.folder.is_dir() else set()
        labels = sorted(label for label in there | set(self._duplicates) if not label.startswith("."))
        return tuple(
            ClassCount(label, len(_pictures(self.folder / label)), self._duplicates.get(label, 0)) for label in labels
        )

    def _known(self, label: str) -> deque[int]:
        """Hashes of the class's newest pictures; those that were there before are read once."""
        if label not in self._hashes:
            newest = _pictures(self.folder / label)[-self._recent :]
            read = (_read_grey(path) for path in newest)
            self._hashes[label] = deque((difference_hash(grey) for grey in read if grey is not None), self._recent)
        return self._hashes[label]

    def _save(self, label: str, pixels: NDArray[np.uint8]) -> Path:
        import cv2

        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        # No colons, which file systems of cameras and of Windows don't take.
        path = self.folder / label / f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S.%f}.jpg"
        partial = path.with_name(f".{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(path.parent).free
            if free < _KEPT_FREE_BYTES:
                raise OutputError(
                    f"Expected {_KEPT_FREE_BYTES >> 20} MiB free for pictures at {self.folder}, "
                    f"got {free >> 20}. Make room."
                )
            partial.write_bytes(jpeg.tobytes())
            partial.replace(path)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"Expected to write pictures into {self.folder}, got: {error.strerror}.") from error
        return path


def check_label(label: str) -> None:
    """Whether a class's name can be a folder's.

    Raises:
        OutputError: It can't.
    """
    if not _LABEL.fullmatch(label) or label.lower() in _SPLITS or len(label.encode()) > _NAME_BYTES:
        raise OutputError(
            "Expected a class name of 1 to 64 letters, digits, blanks, dots and dashes, which begins with a letter or "
            f"digit and isn't train, val or test, got {label[:80]!r}."
        )


def difference_hash(pixels: NDArray[np.uint8]) -> int:
    """256 bits that tell of each of 16×16 cells whether the next one to the right is brighter.

    Args:
        pixels: uint8 (H, W, 3) BGR or (H, W) grey, 0–255.
    """
    import cv2
    import numpy as np

    small = cv2.resize(pixels, (_HASH_CELLS + 1, _HASH_CELLS), interpolation=cv2.INTER_AREA)
    grey = (small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)).astype(np.int16)
    # By two steps at least: in an even area the camera's noise would decide.
    return int.from_bytes(np.packbits(grey[:, 1:] - grey[:, :-1] > 1).tobytes(), "big")


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jpg") if not path.name.startswith("."))


def _read_grey(path: Path) -> NDArray[np.uint8] | None:
    import cv2

    pixels: NDArray[np.uint8] | None = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return pixels
