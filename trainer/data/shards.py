"""Packed photos: TFRecord shards and an index, anywhere that `tf.io.gfile` can read (``gs://``, ``hdfs://``).

FOLDER/shards.json                           the index, which is enough to split the photos
FOLDER/shard-00000-of-00004.tfrecord         one `tf.train.Example` per photo, protected by TFRecord's CRC-32C

The keys of an Example are those of TensorFlow's image data sets: ``image/encoded`` (the file's bytes),
``image/filename``, ``image/class/label``, ``image/class/text``, ``image/height``, ``image/width``, and ``image/split``.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.images import ImageFacts
from trainer.environment import load_tensorflow
from trainer.errors import DatasetError
from trainer.storage import address, is_remote
from trainer.types import Dataset, Split

if TYPE_CHECKING:
    import tensorflow as tf

INDEX = "shards.json"
_FORMAT = "edge-trainer shards 1"
_AGAIN = "Copy the shards again, or pack the photos again."


@dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        file: File name.
        count: Number of photos.
        size_bytes: Size of the file.
        sha256: SHA-256 of the file, to verify copies.
    """

    file: str
    count: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PackedPhoto:
    """One photo in the index.

    Attributes:
        path: Path in the source that was packed; unique.
        labels: Names of its classes.
        split: Split given by the source, or None.
        group: Name of a group that a split keeps together; empty: no group.
        sha256: SHA-256 of the packed bytes.
        height: Height in pixels after EXIF rotation.
        width: Width in pixels after EXIF rotation.
        taken_at: EXIF time of the exposure (ISO 8601), or None.
        shard: Index of its shard.
    """

    path: str
    labels: tuple[str, ...]
    split: Split | None
    group: str
    sha256: str
    height: int
    width: int
    taken_at: str | None
    shard: int

    @property
    def facts(self) -> ImageFacts:
        """What inspecting the file would find."""
        taken_at = datetime.fromisoformat(self.taken_at) if self.taken_at else None
        return ImageFacts(self.sha256, self.height, self.width, taken_at=taken_at)


@dataclass(frozen=True)
class Index:
    """The index of a folder of packed photos.

    Attributes:
        classes: Class names of each given split; the key is None if no split is given.
        multi_label: Whether photos can have several labels.
        shards: The shards.
        photos: All photos, sorted by path.
    """

    classes: dict[Split | None, tuple[str, ...]]
    multi_label: bool
    shards: tuple[Shard, ...]
    photos: tuple[PackedPhoto, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of all classes, sorted; the labels of an Example are indices into them."""
        return tuple(sorted({label for classes in self.classes.values() for label in classes}))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict; the number of photos per class in it is for information."""
        counts = {label: sum(label in photo.labels for photo in self.photos) for label in self.labels}
        classes = {split or "": names for split, names in self.classes.items()}
        return {"format": _FORMAT, "counts": counts, **asdict(self), "classes": classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Index:
        """Return the index from the result of `to_dict`."""
        return cls(
            classes={split or None: tuple(names) for split, names in values["classes"].items()},
            multi_label=values["multi_label"],
            shards=tuple(Shard(**shard) for shard in values["shards"]),
            photos=tuple(PackedPhoto(**{**photo, "labels": tuple(photo["labels"])}) for photo in values["photos"]),
        )


def is_packed(folder: Path) -> bool:
    """Return True if a folder holds packed photos; TensorFlow is loaded only for a URL."""
    if not is_remote(folder):
        return (folder / INDEX).is_file()
    load_tensorflow()
    import tensorflow as tf

    return bool(tf.io.gfile.exists(address(folder / INDEX)))


def read_index(folder: Path) -> Index:
    """Read the index, and check that each shard exists and has the right size.

    Raises:
        DatasetError: A file is missing or doesn't match the index.
    """
    load_tensorflow()
    import tensorflow as tf

    file = folder / INDEX
    try:
        with tf.io.gfile.GFile(address(file), "r") as opened:
            values = json.load(opened)
        if values["format"] != _FORMAT:
            raise ValueError(f"format {values['format']!r}")
        index = Index.from_dict(values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise DatasetError(f"Cannot read the index of packed photos {address(file)}: {error}. {_AGAIN}") from error
    for shard in index.shards:
        name = address(folder / shard.file)
        try:
            length = tf.io.gfile.stat(name).length
        except tf.errors.OpError as error:
            raise DatasetError(f"Shard {name} is listed in {INDEX} but missing. {_AGAIN}") from error
        if length != shard.size_bytes:
            raise DatasetError(
                f"Shard {name} has {length:,} bytes instead of {shard.size_bytes:,}: it is truncated or another file. "
                f"{_AGAIN}"
            )
    return index


def deal(dataset: Dataset, worker: int, *, of: int) -> Dataset:
    """Return the photos of one worker, which gets every ``of``-th shard.

    Raises:
        DatasetError: There are too few shards with training photos for all workers.
    """
    index = read_index(dataset.root)
    shard_of = {photo.path: photo.shard for photo in index.photos}
    hands = {shard_of[photo.path] % of for photo in dataset.split("train")}
    if len(hands) < of:
        raise DatasetError(
            f"The {len(index.shards)} shards in {address(dataset.root)} have training photos for {len(hands)} workers, "
            f"but there are {of}. Pack the photos again with --shards {of} or more."
        )
    mine = tuple(photo for photo in dataset.photos if shard_of[photo.path] % of == worker)
    return replace(dataset, photos=mine)


def visit_photos(folder: Path, paths: Collection[str], work: Callable[[str, bytes], None]) -> Iterator[str]:
    """Stream shards through `tf.data` and process their photos in parallel.

    Args:
        folder: Folder of the shards.
        paths: Photos to process; shards without any of them aren't opened.
        work: Called from several threads, with a photo's path and its file's bytes.

    Yields:
        The path of each finished photo, in any order.

    Raises:
        DatasetError: A shard is missing, damaged or incomplete.
    """
    import tensorflow as tf

    index, wanted = read_index(folder), set(paths)

    def call(name: bytes, encoded: bytes) -> bytes:
        if name.decode() not in wanted:
            return b""
        work(name.decode(), encoded)
        return name

    def visit(record: tf.Tensor) -> tf.Tensor:
        text = tf.io.FixedLenFeature([], tf.string)
        example = tf.io.parse_single_example(record, {"image/filename": text, "image/encoded": text})
        return tf.numpy_function(call, [example["image/filename"], example["image/encoded"]], tf.string)

    for number, shard in enumerate(index.shards):
        file = address(folder / shard.file)
        lacking = {photo.path for photo in index.photos if photo.shard == number} & wanted
        if not lacking:
            continue
        records = tf.data.TFRecordDataset(file, buffer_size=1 << 20)
        try:
            for name in records.map(visit, num_parallel_calls=os.cpu_count(), deterministic=False):
                path = name.numpy().decode()
                if path in lacking:
                    lacking.remove(path)
                    yield path
        except tf.errors.OpError as error:
            reason = re.sub(r"\{\{.*?\}\} |\s*\[Op:.*", "", error.message)  # without TensorFlow's locations
            raise DatasetError(f"Shard {file} is damaged: {reason}. {_AGAIN}") from error
        if lacking:
            raise DatasetError(f"Shard {file} lacks {min(lacking)}, which {INDEX} lists. {_AGAIN}")
