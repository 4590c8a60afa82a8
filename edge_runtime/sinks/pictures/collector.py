"""Collects training pictures by class, without near-duplicates."""

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

_LABEL = re.compile(r"\w(?:[\w .-]{0,62}[\w-])?")  # a folder name: no separator, no dot at either end
_NAME_BYTES = 255  # limit of a file name in most file systems
_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})  # folder names that the trainer reads as splits
_HASH_CELLS = 16  # rows, and comparisons per row
_JPEG_QUALITY = 95
_KEPT_FREE_BYTES = 200 * 1024**2


@dataclass(frozen=True)
class ClassCount:
    """Number of pictures collected for one class.

    Attributes:
        label: Class name.
        pictures: Number of pictures in the class's folder.
        duplicates: Number of near-duplicates skipped since the collector was created.
    """

    label: str
    pictures: int
    duplicates: int

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {"label": self.label, "pictures": self.pictures, "duplicates": self.duplicates}


class Collector:
    """Saves frames as ``FOLDER/<label>/<time>.jpg``, the layout that the trainer reads.

    Each frame is compared with the newest pictures of its class by a difference hash of 16×16 bits (Krawetz, "Kind of
    Like That", 2013, there 8×8). The collector is thread-safe.

    Args:
        folder: Folder to save to, created with the first picture.
        distance: Maximum number of differing hash bits, of 256, between near-duplicates.
        recent: Number of newest pictures of the class to compare with.
    """

    def __init__(self, folder: str | os.PathLike[str], *, distance: int = 10, recent: int = 200) -> None:
        self.folder = Path(folder)
        self._distance = distance
        self._recent = recent
        self._hashes: dict[str, deque[int]] = {}
        self._duplicates: dict[str, int] = {}
        self._lock = threading.Lock()

    def add(self, label: str, pixels: NDArray[np.uint8]) -> Path | None:
        """Save a frame unless it is a near-duplicate of a picture of its class.

        Args:
            label: Class name.
            pixels: Frame, uint8 (H, W, 3) BGR, 0–255.

        Returns:
            Path of the file, or None for a near-duplicate.

        Raises:
            OutputError: The label is no valid folder name, writing failed, or the disk is nearly full.
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
        """Return the counts of all classes, sorted by name."""
        there = {entry.name for entry in self.folder.iterdir() if entry.is_dir()} if self.folder.is_dir() else set()
        labels = sorted(label for label in there | set(self._duplicates) if not label.startswith("."))
        return tuple(
            ClassCount(label, len(_pictures(self.folder / label)), self._duplicates.get(label, 0)) for label in labels
        )

    def _known(self, label: str) -> deque[int]:
        """Return the hashes of the class's newest pictures; existing pictures are read once."""
        if label not in self._hashes:
            newest = _pictures(self.folder / label)[-self._recent :]
            read = (_read_gray(path) for path in newest)
            self._hashes[label] = deque((difference_hash(gray) for gray in read if gray is not None), self._recent)
        return self._hashes[label]

    def _save(self, label: str, pixels: NDArray[np.uint8]) -> Path:
        import cv2

        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        # No colons: FAT and NTFS do not allow them in file names.
        path = self.folder / label / f"{datetime.now(timezone.utc):%Y-%m-%dT%H-%M-%S.%f}.jpg"
        partial = path.with_name(f".{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(path.parent).free
            if free < _KEPT_FREE_BYTES:
                raise OutputError(
                    f"The disk of {self.folder} is nearly full: {free >> 20} MiB free, at least "
                    f"{_KEPT_FREE_BYTES >> 20} MiB needed. Free some space."
                )
            partial.write_bytes(jpeg.tobytes())
            partial.replace(path)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"Cannot write pictures to {self.folder}: {error.strerror}.") from error
        return path


def check_label(label: str) -> None:
    """Check that a class name can be a folder name.

    Raises:
        OutputError: The name is not allowed.
    """
    if not _LABEL.fullmatch(label) or label.lower() in _SPLITS or len(label.encode()) > _NAME_BYTES:
        raise OutputError(
            f"Invalid class name {label[:80]!r}. Use 1 to 64 letters, digits, spaces, dots, underscores and dashes, "
            "starting with a letter or digit; train, val and test are reserved."
        )


def difference_hash(pixels: NDArray[np.uint8]) -> int:
    """Return 256 bits: for each of 16×16 cells, whether its right neighbor is brighter.

    Args:
        pixels: Image, uint8 (H, W, 3) BGR or (H, W) grayscale, 0–255.
    """
    import cv2
    import numpy as np

    small = cv2.resize(pixels, (_HASH_CELLS + 1, _HASH_CELLS), interpolation=cv2.INTER_AREA)
    gray = (small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)).astype(np.int16)
    # Brighter by 2 or more: in uniform areas a difference of 1 is camera noise.
    return int.from_bytes(np.packbits(gray[:, 1:] - gray[:, :-1] > 1).tobytes(), "big")


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.jpg") if not path.name.startswith("."))


def _read_gray(path: Path) -> NDArray[np.uint8] | None:
    import cv2

    pixels: NDArray[np.uint8] | None = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return pixels
