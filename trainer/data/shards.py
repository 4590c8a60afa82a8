"""Photos in a few large files: TFRecord shards beside an index, wherever `tf.io.gfile` reads (``gs://``, ``hdfs://``).

FOLDER/shards.json                           what lies where: read first, and alone, to split the photos
FOLDER/shard-00000-of-00004.tfrecord         a `tf.train.Example` a photo, checked by TFRecord's own CRC-32C

The keys of an Example are those of TensorFlow's own image sets: ``image/encoded`` (the file's bytes),
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
_AGAIN = "Copy it again, or pack the photos again."


@dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        file: Its name.
        count: Number of photos in it.
        size_bytes: Of the file.
        sha256: Of the file, for those who copy it.
    """

    file: str
    count: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class PackedPhoto:
    """One photo, as the index lists it.

    Attributes:
        path: As in the source that was packed; unique.
        labels: Names of its classes.
        split: As the source gave it, or None.
        group: What it must not be parted from; empty: nothing.
        sha256: Of the bytes that are packed.
        height: In pixels, as it is shown.
        width: The same.
        taken_at: EXIF's time, ISO 8601; None where nobody says.
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
        """What looking at the file would tell."""
        taken_at = datetime.fromisoformat(self.taken_at) if self.taken_at else None
        return ImageFacts(self.sha256, self.height, self.width, taken_at=taken_at)


@dataclass(frozen=True)
class Index:
    """What a packed folder holds.

    Attributes:
        classes: Names of the classes for each given split; for ``None`` where no split is given.
        multi_label: Whether photos may show several classes.
        shards: The files.
        photos: All photos, sorted by path.
    """

    classes: dict[Split | None, tuple[str, ...]]
    multi_label: bool
    shards: tuple[Shard, ...]
    photos: tuple[PackedPhoto, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of all classes, sorted; an Example's label indexes it."""
        return tuple(sorted({label for classes in self.classes.values() for label in classes}))

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with each class's number of photos for people."""
        counts = {label: sum(label in photo.labels for photo in self.photos) for label in self.labels}
        classes = {split or "": names for split, names in self.classes.items()}
        return {"format": _FORMAT, "counts": counts, **asdict(self), "classes": classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Index:
        """From what `to_dict` gave."""
        return cls(
            classes={split or None: tuple(names) for split, names in values["classes"].items()},
            multi_label=values["multi_label"],
            shards=tuple(Shard(**shard) for shard in values["shards"]),
            photos=tuple(PackedPhoto(**{**photo, "labels": tuple(photo["labels"])}) for photo in values["photos"]),
        )


def is_packed(folder: Path) -> bool:
    """Whether a folder holds shards; TensorFlow is needed only to look at an address."""
    if not is_remote(folder):
        return (folder / INDEX).is_file()
    load_tensorflow()
    import tensorflow as tf

    return bool(tf.io.gfile.exists(address(folder / INDEX)))


def read_index(folder: Path) -> Index:
    """Reads the index, and sees to it that each shard is there and as long as it should be.

    Raises:
        DatasetError: A file is missing, or isn't what the index says.
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
        raise DatasetError(f"Expected the index of packed photos in {address(file)}, got: {error}. {_AGAIN}") from error
    for shard in index.shards:
        name = address(folder / shard.file)
        try:
            length = tf.io.gfile.stat(name).length
        except tf.errors.OpError as error:
            raise DatasetError(f"Expected the shard {name}, which {INDEX} lists, there is none. {_AGAIN}") from error
        if length != shard.size_bytes:
            raise DatasetError(
                f"Expected {shard.size_bytes:,} bytes in the shard {name}, got {length:,}: it is truncated or another "
                f"one. {_AGAIN}"
            )
    return index


def deal(dataset: Dataset, worker: int, *, of: int) -> Dataset:
    """The photos of one worker: every ``of``-th shard is its.

    Raises:
        DatasetError: There are fewer shards than workers, or none with training photos for one.
    """
    index = read_index(dataset.root)
    shard_of = {photo.path: photo.shard for photo in index.photos}
    hands = {shard_of[photo.path] % of for photo in dataset.split("train")}
    if len(hands) < of:
        raise DatasetError(
            f"Expected training photos in a shard for each of {of} workers in {address(dataset.root)}, got "
            f"{len(index.shards)} shards, enough for {len(hands)}. Pack them again with --shards {of} or more."
        )
    mine = tuple(photo for photo in dataset.photos if shard_of[photo.path] % of == worker)
    return replace(dataset, photos=mine)


def visit_photos(folder: Path, paths: Collection[str], work: Callable[[str, bytes], None]) -> Iterator[str]:
    """Streams shards through `tf.data` and works on their photos in parallel.

    Args:
        folder: Of the shards.
        paths: The photos that are wanted; shards that hold none of them aren't opened.
        work: Called in any of several threads with a photo's path and its file's bytes.

    Yields:
        The path of each photo that is done, in any order.

    Raises:
        DatasetError: A shard is missing or damaged, or lacks a photo.
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
            reason = re.sub(r"\{\{.*?\}\} |\s*\[Op:.*", "", error.message)  # without TensorFlow's own places
            raise DatasetError(f"Expected whole records in the shard {file}, got: {reason}. {_AGAIN}") from error
        if lacking:
            raise DatasetError(
                f"Expected {min(lacking)} in the shard {file}, as {INDEX} says, but it isn't there. {_AGAIN}"
            )
