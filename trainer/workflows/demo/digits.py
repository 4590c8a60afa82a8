"""The embedded data set: real handwritten digits, drawn into pictures as a camera would take them.

The digits are scikit-learn's `load_digits`: 1,797 scans of 8×8 cells by 43 writers (Alpaydin & Kaynak, "Optical
Recognition of Handwritten Digits", UCI, 1998). The scans are split before any picture is drawn, so no scan is in two
splits. The training set has several pictures of each scan, the validation and test sets have one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from trainer.data.split import assign_splits
from trainer.errors import OutputFolderError
from trainer.storage import PARTIAL, write_json
from trainer.types import SPLITS, Split
from trainer.workflows.demo.scene import View, draw_sheet, drifting, random_view, render, trace_strokes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

# The test set is the larger one because the demo reports its accuracy: 359 scans give it to within 2 points.
_SHARES: dict[Split, float] = {"val": 0.1, "test": 0.2}
_VERSION = 4  # of the drawn pictures: raise it when they change
_MARKER = ".digits.json"
_HEIGHT, _WIDTH = 120, 160
_CLIP_HEIGHT, _CLIP_WIDTH, _CLIP_RATE = 240, 320, 30
_HOLD_S, _SLIDE_S = 0.8, 0.2


def write_digit_photos(folder: str | Path, *, seed: int = 0, scenes_per_scan: int = 4) -> Path:
    """Write ``folder/{train,val,test}/<digit>/*.jpg`` unless they are there already.

    Args:
        folder: New or empty folder, or one that this function wrote.
        seed: Random seed; the same seed gives the same pictures.
        scenes_per_scan: Number of pictures of each training scan.

    Returns:
        The folder.

    Raises:
        OutputFolderError: The folder contains other files or can't be written.
    """
    folder = Path(folder)
    settings = {"version": _VERSION, "seed": seed, "scenes_per_scan": scenes_per_scan, "size": [_HEIGHT, _WIDTH]}
    try:
        if _prepare(folder, settings):
            _write_photos(folder, seed, scenes_per_scan)
            _mark(folder, settings, finished=True)
    except OSError as error:
        if isinstance(error, OutputFolderError):
            raise
        raise OutputFolderError(
            f"Cannot write the demo's photos to {folder}: {error.strerror or error}. "
            "Free some space or choose another folder with --to."
        ) from error
    return folder


def write_digit_clip(path: str | Path, *, seed: int = 0, digits: int = 10) -> list[tuple[str, int, int]]:
    """Write a short video (Motion JPEG in .avi): cards from the test set, shown to a moving camera one by one.

    Args:
        path: The file to write.
        seed: Random seed; must be that of `write_digit_photos` for the scans to come from its test set.
        digits: Number of cards: 0 to 9 in random order, then again.

    Returns:
        For each card, its digit and the first and last frame in which it is the only card on top.

    Raises:
        OutputFolderError: The file can't be written.
    """
    import cv2
    import numpy as np

    path = Path(path)
    rng = np.random.default_rng((seed, 7))
    images, labels, splits = _scans(seed)
    order = [digit for _ in range(-(-digits // 10)) for digit in rng.permutation(10)][:digits]
    test = np.array([split == "test" for split in splits])
    chosen = [int(rng.choice(np.flatnonzero(test & (labels == digit)))) for digit in order]
    sheets = [draw_sheet(trace_strokes(images[index]), rng, pixels_per_unit=_CLIP_HEIGHT) for index in chosen]
    sheets = [replace(sheet, turn=rng.uniform(-6, 6)) for sheet in sheets]

    slide, card = round(_SLIDE_S * _CLIP_RATE), round((_SLIDE_S + _HOLD_S) * _CLIP_RATE)
    start = View(light=200, falloff=0.25, shadow=0.28, shadow_at=0.3, exposure=0.88, noise=3.5)
    start = replace(start, warmth=0.04, zoom=0.66, defocus=0.002)
    views = drifting(start, rng, np.arange(card * digits) / _CLIP_RATE)
    table = int(rng.integers(3))

    def frame(index: int) -> NDArray[np.uint8]:
        number, since = divmod(index, card)
        shown = sheets[max(0, number - 1) : number + 1]
        if since < slide:
            left = (1 - since / slide) ** 2
            shown = [*shown[:-1], replace(shown[-1], x=2.6 * left, turn=shown[-1].turn + 25 * left)]
        noise = np.random.default_rng((seed, 8, index))
        return render(shown, views[index], noise, table=table, height=_CLIP_HEIGHT, width=_CLIP_WIDTH)

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), _CLIP_RATE, (_CLIP_WIDTH, _CLIP_HEIGHT)
    )
    try:
        if not writer.isOpened():
            raise OutputFolderError(f"Cannot write a video to {path}. Check that the folder exists and is writable.")
        writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 85)
        for picture in _in_parallel(frame, len(views), "Filming the clip", " frames"):
            writer.write(picture)
    finally:
        writer.release()
    return [(str(digit), number * card + slide, (number + 1) * card - 1) for number, digit in enumerate(order)]


def _prepare(folder: Path, settings: dict[str, object]) -> bool:
    """Prepare the folder. Return False if it already holds these pictures."""
    marker = folder / _MARKER
    if marker.is_file():
        if json.loads(marker.read_text(encoding="utf-8") or "null") == {**settings, "finished": True}:
            return False
        for split in SPLITS:
            shutil.rmtree(folder / split, ignore_errors=True)
    elif folder.exists() and set(folder.iterdir()) - set(folder.glob(PARTIAL)):
        raise OutputFolderError(
            f"The demo's photos need an empty folder, but {folder} contains other files. Choose another one with --to."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(PARTIAL):
        leftover.unlink()
    _mark(folder, settings, finished=False)
    return True


def _mark(folder: Path, settings: dict[str, object], *, finished: bool) -> None:
    write_json(folder / _MARKER, {**settings, "finished": finished})


def _write_photos(folder: Path, seed: int, scenes_per_scan: int) -> None:
    import cv2
    import numpy as np

    images, labels, splits = _scans(seed)
    for split in SPLITS:
        for digit in range(10):
            (folder / split / str(digit)).mkdir(parents=True, exist_ok=True)

    def write(scan: int) -> None:
        strokes = trace_strokes(images[scan])
        split = splits[scan]
        for scene in range(scenes_per_scan if split == "train" else 1):
            rng = np.random.default_rng((seed, scan, scene))
            picture = photograph(strokes, rng)
            encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(70, 93))])[1]
            name = f"scan{scan:04d}-{scene}.jpg"
            (folder / split / str(labels[scan]) / name).write_bytes(encoded.tobytes())

    for _ in _in_parallel(write, len(images), "Drawing the photos", " scans"):
        pass


def photograph(strokes: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one picture of one scan.

    Args:
        strokes: float32 (n, n) from `trace_strokes`.
        rng: Random generator.

    Returns:
        uint8 (120, 160, 3) BGR.
    """
    sheet = draw_sheet(strokes, rng, pixels_per_unit=_HEIGHT * 4 // 5)
    table = int(rng.integers(1 << 16))
    return render([sheet], random_view(rng), rng, table=table, height=_HEIGHT, width=_WIDTH)


def _scans(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], list[Split]]:
    """Return the scans, float32 (1797, 8, 8) with coverage 0–1, their digits, and their splits."""
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)
    sha256s = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    splits = assign_splits(sha256s, digits.target.tolist(), _SHARES, seed=seed)
    return images, digits.target.astype(np.int64), splits


def _in_parallel(function: Callable[[int], T], count: int, title: str, unit: str) -> Iterator[T]:
    """Call the function with 0 to count - 1 behind a progress bar; OpenCV releases the GIL while it works."""
    from tqdm import tqdm

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from tqdm(pool.map(function, range(count)), desc=title, total=count, unit=unit, delay=0.5, leave=False)
