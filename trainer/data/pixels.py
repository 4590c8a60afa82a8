"""The pixels of a split: decoded and resized once, by the function that the device uses, and kept in a file.

A cache is a folder named after all that its bytes depend on: the photos' hashes in order, the geometry of the input
contract, and the decoders' versions. It is renamed into place when it is whole, so one that exists can be trusted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.preprocess import resize_frame
from edge_runtime.types import InputContract
from trainer.data.images import decode_image, read_image
from trainer.data.shards import is_packed, visit_photos
from trainer.errors import DatasetError, OutputFolderError
from trainer.types import Dataset, Photo, Pixels, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FORMAT = 1  # of the cache; raise it when the same photos should give other bytes
_IMAGES = "images.npy"
_KEPT = "kept.json"

logger = logging.getLogger(__name__)


def load_pixels(dataset: Dataset, split: Split, contract: InputContract, cache_dir: str | Path) -> Pixels:
    """Returns a split's pictures as the network is to see them, from the cache or by making it.

    A photo that turns out to be undecodable (damage that `scan` doesn't see) is named in a warning and left out.

    Args:
        dataset: The photos.
        split: Which of them.
        contract: Of the network's input; mean and std play no part.
        cache_dir: Folder of the caches; made where it is missing.

    Returns:
        The pixels, in the order of ``dataset.split(split)``, as a read-only memory map.

    Raises:
        DatasetError: More than one photo in twenty can't be decoded.
        OutputFolderError: The cache can't be written.
    """
    import numpy as np

    photos = dataset.split(split)
    if not photos:
        raise DatasetError(f"Expected photos in the {split} split of {dataset.root}, got none. Scan the folder again.")
    cache = Path(cache_dir) / f"{split}-{_key(photos, contract)}"
    if not cache.is_dir():
        try:
            _make(cache, dataset.root, photos, contract)
        except OSError as error:
            raise OutputFolderError(
                f"Expected to write pixels to {cache_dir}, got: {error.strerror or error}. "
                "Make room, or name another folder."
            ) from error
    kept = [photos[index] for index in json.loads((cache / _KEPT).read_text(encoding="utf-8"))]
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


def _make(cache: Path, root: Path, photos: Sequence[Photo], contract: InputContract) -> None:
    """Writes a cache, whole or not at all."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{cache.name}-", dir=cache.parent))
    try:
        kept = _write_images(temporary / _IMAGES, root, photos, contract, name=cache.name.split("-")[0])
        (temporary / _KEPT).write_text(json.dumps(kept), encoding="utf-8")
        for file in (temporary / _IMAGES, temporary / _KEPT):
            with file.open("rb") as written:
                os.fsync(written.fileno())
        try:
            temporary.rename(cache)
        except OSError:
            if not cache.is_dir():  # else another process was faster, with the same bytes
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_images(file: Path, root: Path, photos: Sequence[Photo], contract: InputContract, *, name: str) -> list[int]:
    """Decodes and resizes in parallel, into a memory map. Returns the indices of the photos that it holds."""
    from tqdm import tqdm

    shape = (contract.height, contract.width, contract.channels)
    images = _create(file, (len(photos), *shape))
    errors = [""] * len(photos)

    def fill(index: int, decode: Callable[[], NDArray[np.uint8]]) -> None:
        try:
            images[index] = resize_frame(decode(), contract, color="rgb")
        except DatasetError as error:
            errors[index] = str(error)

    # OpenCV lets other threads run while it works.
    work = _fill_from_shards if is_packed(root) else _fill_from_files
    bar = tqdm(
        work(root, photos, fill), desc=f"Decoding {name}", total=len(photos), unit=" photos", delay=0.5, leave=False
    )
    deque(bar, maxlen=0)

    kept = [index for index, error in enumerate(errors) if not error]
    bad = [error for error in errors if error]
    if len(bad) > 0.05 * len(photos):
        raise DatasetError(f"{len(bad)} of the {len(photos)} {name} photos can't be decoded. The first: {bad[0]}")
    for error in bad:
        logger.warning("Left out: %s", error)
    if bad:  # rare: move the others up, in a file of the right length
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
    """Makes an .npy file of the full length; writing to a sparse one on a full disk would end the process (SIGBUS)."""
    import numpy as np

    images: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(  # type: ignore[no-untyped-call]
        file, mode="w+", dtype=np.uint8, shape=shape
    )
    if hasattr(os, "posix_fallocate"):
        with file.open("rb+") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
    return images
