"""Photos, their splits, and the pixels and features computed from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Photo:
    """One photo of a data set.

    Attributes:
        path: Path relative to the data set's folder, with forward slashes.
        label: Index of its class; in a multi-label data set, of the first of its classes (-1 without any).
        split: Split that it belongs to.
        sha256: SHA-256 of the file's bytes, in hex.
        labels: Indices of all its classes in a multi-label data set; otherwise None.
    """

    path: str
    label: int
    split: Split
    sha256: str
    labels: tuple[int, ...] | None = None

    @property
    def classes(self) -> tuple[int, ...]:
        """Indices of its classes: one, or any number in a multi-label data set."""
        return (self.label,) if self.labels is None else self.labels


@dataclass(frozen=True)
class Dataset:
    """A folder of photos, divided into splits.

    Attributes:
        root: Folder of the photos.
        labels: Names of the classes, sorted; a photo's label is an index into them.
        photos: Photos that can be decoded, sorted by path.
        unreadable: Path and reason of each photo that cannot be decoded.
        given_split: Whether the folder itself defines the splits (train/val/test).
        multi_label: Whether a photo may show several classes, or none.
    """

    root: Path
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    unreadable: tuple[tuple[str, str], ...] = ()
    given_split: bool = False
    multi_label: bool = False

    def split(self, name: Split) -> tuple[Photo, ...]:
        """Return the photos of one split, in order."""
        return tuple(photo for photo in self.photos if photo.split == name)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "root": str(self.root)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Dataset:
        """Restore what `to_dict` returned."""
        return cls(
            root=Path(values["root"]),
            labels=tuple(values["labels"]),
            photos=tuple(_photo(photo) for photo in values["photos"]),
            unreadable=tuple((path, reason) for path, reason in values["unreadable"]),
            given_split=values["given_split"],
            multi_label=values.get("multi_label", False),  # older runs have one label per photo
        )


def _photo(values: dict[str, Any]) -> Photo:
    labels = values.get("labels")
    return Photo(**{**values, "labels": None if labels is None else tuple(labels)})


@dataclass(frozen=True)
class Pixels:
    """Decoded pictures of one split.

    Attributes:
        images: uint8 (N, height, width, 3) RGB, 0–255; usually a read-only memory map.
        labels: int64 (N,) class indices; uint8 (N, classes) in a multi-label data set, 1 for each class shown.
        paths: N paths relative to the data set's folder.
        whole: Number of pictures in the whole split if they are divided among several workers; 0 if all are here.
    """

    images: NDArray[np.uint8]
    labels: NDArray[Any]
    paths: tuple[str, ...]
    whole: int = 0

    @property
    def strata(self) -> NDArray[np.int64]:
        """int64 (N,): class to stratify by, the rarest of several; a picture without any gets one of its own."""
        import numpy as np

        if self.labels.ndim == 1:
            return self.labels
        rarity = np.where(self.labels, -self.labels.sum(axis=0, dtype=np.int64), -len(self) - 1)
        return np.asarray(np.where(self.labels.any(axis=1), rarity.argmax(axis=1), self.labels.shape[1]), np.int64)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TrainingSet:
    """The pictures of one training, and how they become a network's input.

    Attributes:
        train: Pictures to train on.
        val: Pictures that choose the best epoch and stop the training early.
        contract: Input size, mean and standard deviation of the network.
    """

    train: Pixels
    val: Pixels
    contract: InputContract


@dataclass(frozen=True)
class Features:
    """Features of pictures, computed by a frozen network.

    Attributes:
        values: float32 (N, features), the output of global pooling before dropout.
        labels: int64 (N,) class indices.
    """

    values: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)
