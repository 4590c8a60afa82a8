"""Features of a run's photos, and small copies of some of them, stored to extend the run later.

They allow an extension even if the photos themselves are gone: the head learns from the features, and the copies serve
as calibration, validation and test pictures.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.environment import load_tensorflow
from trainer.errors import OutputFolderError
from trainer.quantization.calibration import stratified
from trainer.runs.artifacts import read_dataset, read_latest, read_latest_shared, read_pixels
from trainer.runs.run import Run, load_run
from trainer.storage import read_json, write_bytes, write_json
from trainer.training.networks.contract import input_contract
from trainer.types import SPLITS, Dataset, Features, Photo, Pixels, Split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FEATURES = 20_000  # per split: 50 MB at 1,280 values per photo
_SHARES: dict[Split, float] = {"train": 0.25, "val": 0.5, "test": 0.25}  # of the copies
_JPEG_QUALITY = 95
_COPIES, _RECORD, _VALUES = "copies", "kept.json", "features.npy"


@dataclass(frozen=True)
class Kept:
    """Stored features and copies of a run.

    Attributes:
        folder: Folder of the copies.
        labels: Names of the classes.
        photos: Photos whose features are stored; their files may be gone.
        features: float16 (photos, features), the output of global pooling.
        copies: Copies of some photos, at the network's input size; paths are relative to the folder.
    """

    folder: Path
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    features: NDArray[np.float16]
    copies: tuple[Photo, ...]

    def split(self, name: Split) -> Features:
        """Return the features of one split."""
        import numpy as np

        chosen = [index for index, photo in enumerate(self.photos) if photo.split == name]
        labels = np.array([self.photos[index].label for index in chosen], np.int64)
        return Features(self.features[chosen].astype(np.float32), labels)


def keep(run: Run, folder: Path) -> None:
    """Store features and copies of a run's photos. An extension adds to those of the run that it extends.

    Args:
        run: Run with a trained network, or an extension, which takes over the network of another run.
        folder: Folder to write into.
    """
    import numpy as np

    load_tensorflow()
    from trainer.training.head import feature_extractor

    dataset, contract = read_dataset(run), input_contract(run.recipe)
    if dataset.multi_label:
        return  # extensions support one label per photo only
    extended = load_run(Path(run.recipe.extend.run)) if run.recipe.extend.run else None
    network = read_latest_shared(extended) if extended else read_latest(run)
    before = read_kept(extended) if extended else None
    extract = feature_extractor(network, contract=contract)
    copied = {photo.path for photo in before.copies} if before else set()  # their features are already stored
    photos, features = (list(before.photos), [before.features]) if before else ([], [])
    copies: list[Photo] = []
    (folder / _COPIES).mkdir()
    for split in SPLITS:
        pixels = read_pixels(run, dataset, split)
        found = _photos_of(dataset, pixels)
        chosen = [index for index in _drawn(run, pixels, _FEATURES) if found[index].path not in copied]
        photos += [found[index] for index in chosen]
        features.append(extract(pixels.images[chosen]).astype(np.float16))
        for index in _drawn(run, pixels, round(_SHARES[split] * run.recipe.keep.pictures)):
            copies.append(_copy(folder, len(copies), pixels.images[index], found[index]))
    np.save(folder / _VALUES, np.concatenate(features))
    lists = {name: [asdict(photo) for photo in found] for name, found in (("photos", photos), ("copies", copies))}
    write_json(folder / _RECORD, {"labels": dataset.labels, **lists})


def read_kept(run: Run) -> Kept:
    """Return the stored features and copies of a run.

    Raises:
        OutputFolderError: The run stored none.
    """
    import numpy as np

    folder = run.stage("keep")
    if not folder.exists():
        raise OutputFolderError(
            f"Cannot extend the run in {run.folder}: it stored no image features. Finish it if it was interrupted, or "
            "train a new run with keep.pictures above 0."
        )
    if not (folder / _RECORD).exists():
        raise OutputFolderError(
            f"Cannot extend the run in {run.folder}: its photos have several labels each. Train a new run with the "
            "photos of all classes."
        )
    record = read_json(folder / _RECORD)
    photos, copies = (tuple(Photo(**photo) for photo in record[name]) for name in ("photos", "copies"))
    return Kept(folder, tuple(record["labels"]), photos, np.load(folder / _VALUES), copies)


def _photos_of(dataset: Dataset, pixels: Pixels) -> list[Photo]:
    by_path = {photo.path: photo for photo in dataset.photos}
    return [by_path[path] for path in pixels.paths]


def _drawn(run: Run, pixels: Pixels, limit: int) -> list[int]:
    classes = int(pixels.labels.max()) + 1
    return sorted(stratified(pixels.labels, limit, run.recipe.seed, classes).tolist())


def _copy(folder: Path, number: int, image: NDArray[np.uint8], photo: Photo) -> Photo:
    """Write a copy of a photo, uint8 (height, width, 3) RGB, 0–255, and return its entry."""
    import cv2

    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    content, path = encoded.tobytes(), f"{_COPIES}/{number:04}.jpg"
    write_bytes(folder / path, content)
    return replace(photo, path=path, sha256=hashlib.sha256(content).hexdigest())
