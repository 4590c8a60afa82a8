"""The pixels of a split: decoded and resized once, by the same function as on the device, and cached in a file.

A cache is a folder named after everything its bytes depend on: the photos' hashes in order, the geometry of the input
contract, and the versions of the decoders. It is renamed into place when complete. A CRC-32 of its bytes is checked
once per process, at about one second per GiB; a damaged cache is rebuilt. Later damage isn't noticed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.pixels.preprocess import resize_frame
from edge_runtime.types import InputContract
from trainer.data.cache import at_work
from trainer.data.images import decode_image, read_image
from trainer.data.shards import is_packed, visit_photos
from trainer.errors import DatasetError, OutputFolderError
from trainer.storage import put_in_place, write_json
from trainer.types import Dataset, Photo, Pixels, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMAT = 2  # of the cache; increase it when the same photos should give other bytes
_IMAGES = "images.npy"
_KEPT = "kept.json"
_CHUNK_BYTES = 1 << 20
_crc32s: dict[tuple[int, int, int], int] = {}  # of files read by this process, by device, inode and time

logger = logging.getLogger(__name__)


def load_pixels(dataset: Dataset, split: Split, contract: InputContract, cache_dir: str | Path) -> Pixels:
    """Return a split's pictures at the network's input size, from the cache if possible.

    Photos that can't be decoded after all (damage that `scan` doesn't see) are skipped with a warning.

    Args:
        dataset: The photos.
        split: Split to load.
        contract: Input contract of the network; mean and std aren't used.
        cache_dir: Cache folder; created if missing.

    Returns:
        The pixels in the order of ``dataset.split(split)``, as a read-only memory map.

    Raises:
        DatasetError: The split is empty, or more than 5% of its photos can't be decoded.
        OutputFolderError: The cache can't be written.
    """
    import numpy as np

    photos = dataset.split(split)
    if not photos:
        raise DatasetError(f"The {split} split of {dataset.root} has no photos. Add some, and start again.")
    cache = Path(cache_dir) / f"{split}-{_key(photos, contract)}"
    try:
        indices = _read_kept(cache)
        if indices is None:
            if cache.exists():
                logger.warning("The cache %s is damaged; decoding the photos again.", cache)
            _make(cache, dataset.root, photos, contract)
            indices = _read_kept(cache)
    except OSError as error:
        raise OutputFolderError(
            f"Cannot write decoded photos to {cache_dir}: {error.strerror or error}. "
            "Free some space, or set XDG_CACHE_HOME to another folder."
        ) from error
    if indices is None:
        raise OutputFolderError(
            f"The decoded photos in {cache} have changed since they were written a moment ago. "
            "Check the disk, or set XDG_CACHE_HOME to another folder."
        )
    kept = [photos[index] for index in indices]
    return Pixels(
        images=np.load(cache / _IMAGES, mmap_mode="r"),
        labels=_multi_hot(kept, len(dataset.labels))
        if dataset.multi_label
        else np.array([photo.label for photo in kept], np.int64),
        paths=tuple(photo.path for photo in kept),
    )


def _multi_hot(photos: Sequence[Photo], classes: int) -> NDArray[np.uint8]:
    import numpy as np

    labels = np.zeros((len(photos), classes), np.uint8)
    for row, photo in zip(labels, photos, strict=True):
        row[list(photo.classes)] = 1
    return labels


def _key(photos: Sequence[Photo], contract: InputContract) -> str:
    import cv2
    import PIL

    geometry = {name: value for name, value in contract.to_dict().items() if name not in ("mean", "std")}
    content = [_FORMAT, cv2.__version__, PIL.__version__, geometry, [photo.sha256 for photo in photos]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _read_kept(cache: Path) -> list[int] | None:
    """Return the indices of the photos in a cache; None if it is missing or damaged."""
    try:
        told = json.loads((cache / _KEPT).read_bytes())
        kept: list[int] = told["kept"]
        return kept if told["crc32"] == _crc32(cache / _IMAGES, kept) else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _crc32(images: Path, kept: list[int]) -> int:
    stat = images.stat()
    state = (stat.st_dev, stat.st_ino, stat.st_mtime_ns)
    if state not in _crc32s:
        crc32 = 0
        with images.open("rb", buffering=0) as file:  # unbuffered, as mapped pages would count as this process's memory
            while chunk := file.read(_CHUNK_BYTES):
                crc32 = zlib.crc32(chunk, crc32)
        _crc32s[state] = crc32
    return zlib.crc32(json.dumps(kept).encode(), _crc32s[state])


def _make(cache: Path, root: Path, photos: Sequence[Photo], contract: InputContract) -> None:
    """Write a complete cache or none; a damaged one is replaced."""
    with at_work(cache.parent):
        temporary = Path(tempfile.mkdtemp(prefix=f".{cache.name}-", suffix=".partial", dir=cache.parent))
        try:
            kept = _write_images(temporary / _IMAGES, root, photos, contract, name=cache.name.split("-")[0])
            write_json(temporary / _KEPT, {"kept": kept, "crc32": _crc32(temporary / _IMAGES, kept)})
            try:
                if _read_kept(cache) is None:  # else another process has written the same bytes
                    shutil.rmtree(cache, ignore_errors=True)
                    put_in_place(temporary, cache)
            except OSError:
                if _read_kept(cache) is None:
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_images(file: Path, root: Path, photos: Sequence[Photo], contract: InputContract, *, name: str) -> list[int]:
    """Decode and resize in parallel into a memory map; return the indices of the photos it holds."""
    from tqdm import tqdm

    shape = (contract.height, contract.width, contract.channels)
    images = _create(file, (len(photos), *shape))
    errors = [""] * len(photos)

    def fill(index: int, decode: Callable[[], NDArray[np.uint8]]) -> None:
        try:
            images[index] = resize_frame(decode(), contract, color="rgb")
        except DatasetError as error:
            errors[index] = str(error)

    # Threads are enough, because OpenCV releases the GIL.
    work = _fill_from_shards if is_packed(root) else _fill_from_files
    bar = tqdm(
        work(root, photos, fill), desc=f"Decoding {name}", total=len(photos), unit=" photos", delay=0.5, leave=False
    )
    deque(bar, maxlen=0)

    kept = [index for index, error in enumerate(errors) if not error]
    bad = [error for error in errors if error]
    if len(bad) > 0.05 * len(photos):
        raise DatasetError(f"{len(bad)} of the {len(photos)} {name} photos can't be decoded. First error: {bad[0]}")
    for error in bad:
        logger.warning("Skipped a photo. %s", error)
    if bad:  # rare: copy the others to a file of the right length
        whole = _create(file.with_suffix(".kept"), (len(kept), *shape))
        for target, index in enumerate(kept):
            whole[target] = images[index]
        file.with_suffix(".kept").replace(file)
        images = whole
    images.flush()
    return kept


def _fill_from_files(root: Path, photos: Sequence[Photo], fill: Callable[..., None]) -> Iterator[object]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda i: fill(i, lambda: read_image(root / photos[i].path)), range(len(photos)))


def _fill_from_shards(root: Path, photos: Sequence[Photo], fill: Callable[..., None]) -> Iterator[object]:
    place = {photo.path: index for index, photo in enumerate(photos)}
    return visit_photos(root, place, lambda path, data: fill(place[path], lambda: decode_image(data, path)))


def _create(file: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """Allocate an .npy file in full, because writing to a sparse one on a full disk kills the process (SIGBUS)."""
    import numpy as np

    images: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        file, mode="w+", dtype=np.uint8, shape=shape
    )
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return images
