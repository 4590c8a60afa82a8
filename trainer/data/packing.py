"""Packing of photos into shards, for data sets that outgrow a disk or are stored remotely."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.data.dataset import FoundPhoto, survey
from trainer.data.formats.packed import require_files
from trainer.data.images import inspect_bytes, read_image
from trainer.data.shards import INDEX, Index, PackedPhoto, Shard
from trainer.environment import load_tensorflow
from trainer.errors import DatasetError, OutputFolderError, RecipeError
from trainer.storage import absolute, address

if TYPE_CHECKING:
    import tensorflow as tf

_SHARD_BYTES = 128 << 20
_AT_ONCE = 256  # photos in memory at a time
_QUALITY = 95
_UNFINISHED = f".{INDEX}.partial"


def pack(
    photos: str | Path, to: str | Path, *, shards: int = 0, size: int = 0
) -> tuple[Index, tuple[tuple[str, str], ...]]:
    """Write photos into TFRecord shards, each a random sample of all photos.

    Args:
        photos: Folder or list, in any format of `trainer.data.formats`.
        to: New or empty folder, or a URL that `tf.io.gfile` can write.
        shards: Number of files; 0: one per 128 MiB of photos.
        size: Shorter side in pixels, at least 32, to which larger photos are shrunk, as JPEG of quality 95. 0: the
            files' bytes are kept, so training sees the same pixels as without packing.

    Returns:
        The index that was written, and path and reason of each unreadable photo, which are skipped.

    Raises:
        DatasetError: There are no photos, or none is readable.
        RecipeError: A number is out of range.
        OutputFolderError: The folder isn't empty or can't be written.
    """
    for name, number, least in (("shards", shards, 1), ("size", size, 32)):
        if number and number < least:
            raise RecipeError(f"{name} must be 0 or at least {least}, got {number}.")
    require_files(photos, "pack")
    found = survey(photos)
    if not found.readable:
        path, reason = found.unreadable[0]
        raise DatasetError(f"No photo in {found.root} is readable; {path}, for one, is {reason}. Replace the files.")
    # By hash, so that each shard is a random sample: in folders, a class's photos and bursts are next to each other.
    chosen = sorted(found.readable, key=lambda photo: (photo.given or "", photo.facts.sha256, photo.path))
    total_bytes = sum((found.root / photo.path).stat().st_size for photo in chosen)
    shards = min(shards or -(-total_bytes // _SHARD_BYTES), len(chosen))
    load_tensorflow()
    import tensorflow as tf

    folder = absolute(to)
    try:
        _make_empty(folder)
        names = [f"shard-{number:05}-of-{shards:05}.tfrecord" for number in range(shards)]
        try:
            index = Index(found.classes, found.multi_label, (), ())
            packed = _write(folder, names, found.root, chosen, index.labels, size)
            index = replace(index, shards=_described(folder, names, packed), photos=packed)
            with tf.io.gfile.GFile(address(folder / _UNFINISHED), "w") as file:
                file.write(json.dumps(index.to_dict(), indent=1) + "\n")
            tf.io.gfile.rename(address(folder / _UNFINISHED), address(folder / INDEX))  # marks the folder as complete
        except BaseException:
            for name in (_UNFINISHED, *names):
                if tf.io.gfile.exists(address(folder / name)):
                    tf.io.gfile.remove(address(folder / name))
            raise
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, OutputFolderError):
            raise
        raise OutputFolderError(
            f"Cannot write shards to {address(folder)}: {error}. Free some space, or choose another folder."
        ) from error
    return index, found.unreadable


def _make_empty(folder: Path) -> None:
    import tensorflow as tf

    place = address(folder)
    if tf.io.gfile.exists(place) and (not tf.io.gfile.isdir(place) or tf.io.gfile.listdir(place)):
        raise OutputFolderError(f"{place} isn't a new or empty folder. Choose another one.")
    tf.io.gfile.makedirs(place)


def _write(
    folder: Path, names: list[str], root: Path, photos: list[FoundPhoto], labels: tuple[str, ...], size: int
) -> tuple[PackedPhoto, ...]:
    """Write the photos to the shards in turn; return them sorted by path."""
    import tensorflow as tf
    from tqdm import tqdm

    packed = []
    with ExitStack() as stack:
        writers = [stack.enter_context(tf.io.TFRecordWriter(address(folder / name))) for name in names]
        bar = tqdm(_read(root, photos, size), desc="Packing", total=len(photos), unit=" photos", delay=0.5, leave=False)
        for number, (photo, data) in enumerate(bar):
            shard = number % len(names)
            facts = inspect_bytes(data)
            packed.append(
                PackedPhoto(
                    path=photo.path,
                    labels=photo.labels,
                    split=photo.given,
                    group=photo.group,
                    sha256=facts.sha256,
                    height=facts.height,
                    width=facts.width,
                    taken_at=photo.facts.taken_at.isoformat() if photo.facts.taken_at else None,
                    shard=shard,
                )
            )
            writers[shard].write(_example(packed[-1], data, labels).SerializeToString())
    return tuple(sorted(packed, key=lambda photo: photo.path))


def _read(root: Path, photos: list[FoundPhoto], size: int) -> Iterator[tuple[FoundPhoto, bytes]]:
    """Yield each photo with the bytes to pack; photos are read in parallel, a few hundred at a time."""

    def read(photo: FoundPhoto) -> tuple[FoundPhoto, bytes]:
        file = root / photo.path
        smaller = size and min(photo.facts.height, photo.facts.width) > size
        return photo, _shrunk(file, size) if smaller else file.read_bytes()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(photos), _AT_ONCE):
            yield from pool.map(read, photos[start : start + _AT_ONCE])


def _shrunk(file: Path, size: int) -> bytes:
    """Return the picture upright, with a shorter side of ``size`` pixels, as JPEG."""
    import cv2

    pixels = read_image(file)
    height, width = pixels.shape[:2]
    scale = size / min(height, width)
    target = (max(size, round(width * scale)), max(size, round(height * scale)))
    smaller = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
    # Full color resolution (4:4:4), because resizing to the network's input reduces it again.
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        _QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", smaller[:, :, ::-1], options)[1].tobytes()


def _example(photo: PackedPhoto, data: bytes, labels: tuple[str, ...]) -> tf.train.Example:
    import tensorflow as tf

    def texts(*values: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    def numbers(*values: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    features: dict[str, Any] = {
        "image/encoded": texts(data),
        "image/filename": texts(photo.path.encode()),
        "image/class/label": numbers(*(labels.index(label) for label in photo.labels)),
        "image/class/text": texts(*(label.encode() for label in photo.labels)),
        "image/height": numbers(photo.height),
        "image/width": numbers(photo.width),
        "image/split": texts((photo.split or "").encode()),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def _described(folder: Path, names: list[str], photos: tuple[PackedPhoto, ...]) -> tuple[Shard, ...]:
    import tensorflow as tf

    described = []
    for number, name in enumerate(names):
        digest, length = hashlib.sha256(), 0
        with tf.io.gfile.GFile(address(folder / name), "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                length += len(chunk)
        count = sum(photo.shard == number for photo in photos)
        described.append(Shard(name, count, length, digest.hexdigest()))
    return tuple(described)
