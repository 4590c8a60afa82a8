"""Packs photos into shards, for data sets that one disk doesn't hold or that lie far away."""

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
_AT_ONCE = 256  # photos that are held in memory
_QUALITY = 95
_UNFINISHED = f".{INDEX}.partial"


def pack(
    photos: str | Path, to: str | Path, *, shards: int = 0, size: int = 0
) -> tuple[Index, tuple[tuple[str, str], ...]]:
    """Writes photos into TFRecord shards, each a fair sample of all of them.

    Args:
        photos: A folder or a list, as `trainer.data.formats` reads them.
        to: A new or empty folder, or an address that `tf.io.gfile` can write.
        shards: Number of files; 0: one for each 128 MiB of photos.
        size: Larger photos are made smaller, to a shorter side of so many pixels, as JPEG of quality 95; 0: each
            file's bytes are kept as they are, and training sees the very pixels that it sees without packing.

    Returns:
        What was written, and path and reason of the photos that can't be read, which are left out.

    Raises:
        DatasetError: There are no such photos.
        RecipeError: A number is out of range.
        OutputFolderError: The folder holds something, or can't be written.
    """
    for name, number, least in (("--shards", shards, 1), ("--size", size, 32)):
        if number and number < least:
            raise RecipeError(f"Expected {name} to be at least {least}, got {number}.")
    require_files(photos, "pack")
    found = survey(photos)
    if not found.readable:
        raise DatasetError(f"Expected photos in {found.root} that can be read, found none. Replace them.")
    # By hash, so that each shard is a fair sample: a class's photos, and bursts, lie side by side in folders.
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
            tf.io.gfile.rename(address(folder / _UNFINISHED), address(folder / INDEX))  # without it, nothing is packed
        except BaseException:
            for name in (_UNFINISHED, *names):
                if tf.io.gfile.exists(address(folder / name)):
                    tf.io.gfile.remove(address(folder / name))
            raise
    except (OSError, tf.errors.OpError) as error:
        if isinstance(error, OutputFolderError):
            raise
        raise OutputFolderError(
            f"Expected to write shards to {address(folder)}, got: {error}. "
            "Make room or choose another folder with --to."
        ) from error
    return index, found.unreadable


def _make_empty(folder: Path) -> None:
    import tensorflow as tf

    place = address(folder)
    if tf.io.gfile.exists(place) and (not tf.io.gfile.isdir(place) or tf.io.gfile.listdir(place)):
        raise OutputFolderError(f"Expected {place} to be a new or empty folder. Choose another one with --to.")
    tf.io.gfile.makedirs(place)


def _write(
    folder: Path, names: list[str], root: Path, photos: list[FoundPhoto], labels: tuple[str, ...], size: int
) -> tuple[PackedPhoto, ...]:
    """Deals photos out to the shards, in turn; returns them sorted by path."""
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
    """The photos with the bytes to pack, read in parallel, a few hundred at a time."""

    def read(photo: FoundPhoto) -> tuple[FoundPhoto, bytes]:
        file = root / photo.path
        smaller = size and min(photo.facts.height, photo.facts.width) > size
        return photo, _shrunk(file, size) if smaller else file.read_bytes()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(photos), _AT_ONCE):
            yield from pool.map(read, photos[start : start + _AT_ONCE])


def _shrunk(file: Path, size: int) -> bytes:
    """The picture upright, with a shorter side of so many pixels, as JPEG."""
    import cv2

    pixels = read_image(file)
    height, width = pixels.shape[:2]
    scale = size / min(height, width)
    target = (max(size, round(width * scale)), max(size, round(height * scale)))
    smaller = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
    # Colour at full resolution: halved, it would be halved a second time when the network's input is made.
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
