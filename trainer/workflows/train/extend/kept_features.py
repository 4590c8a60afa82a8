"""What a run keeps of its photos: the features of all of them, and small copies of some.

With them a run can be extended when the photos themselves are gone: the head learns from the features, the copies
calibrate INT8, decide the gate and measure.
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

_FEATURES = 20_000  # of a split: 50 MB, with 1,280 numbers for each photo
_SHARES: dict[Split, float] = {"train": 0.25, "val": 0.5, "test": 0.25}  # of the copies
_JPEG_QUALITY = 95
_COPIES, _RECORD, _VALUES = "copies", "kept.json", "features.npy"


@dataclass(frozen=True)
class Kept:
    """What was kept.

    Attributes:
        folder: Where the copies lie.
        labels: Names of the classes.
        photos: Whose features there are; the photos themselves may be gone.
        features: float16 (photos, features): the output of global pooling.
        copies: Of some of the photos, at the network's input size; paths are relative to the folder.
    """

    folder: Path
    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    features: NDArray[np.float16]
    copies: tuple[Photo, ...]

    def split(self, name: Split) -> Features:
        """The features of one split."""
        import numpy as np

        chosen = [index for index, photo in enumerate(self.photos) if photo.split == name]
        labels = np.array([self.photos[index].label for index in chosen], np.int64)
        return Features(self.features[chosen].astype(np.float32), labels)


def keep(run: Run, folder: Path) -> None:
    """Writes down what the run is to keep. One that extends another goes on with what that one kept.

    Args:
        run: Its network is trained; or it extends a run, whose network it takes over.
        folder: Where to.
    """
    import numpy as np

    load_tensorflow()
    from trainer.training.head import feature_extractor

    dataset, contract = read_dataset(run), input_contract(run.recipe)
    if dataset.multi_label:
        return  # an extension learns one label a photo
    extended = load_run(Path(run.recipe.extend.run)) if run.recipe.extend.run else None
    network = read_latest_shared(extended) if extended else read_latest(run)
    before = read_kept(extended) if extended else None
    extract = feature_extractor(network, contract=contract)
    copied = {photo.path for photo in before.copies} if before else set()  # their features are there already
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
    """What a run has kept.

    Raises:
        OutputFolderError: It has kept nothing.
    """
    import numpy as np

    folder = run.stage("keep")
    if not folder.exists():
        raise OutputFolderError(
            f"Expected the run in {run.folder} to have kept its photos' features, but it hasn't. "
            "Train it with keep.pictures above 0, or finish it with the command that started it."
        )
    if not (folder / _RECORD).exists():
        raise OutputFolderError(
            f"Expected a run of photos with one label each, but those of {run.folder} show several: it can't be "
            "extended. Train anew with the photos of all classes."
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
    """Writes a picture, uint8 (height, width, 3) RGB, that stands for a photo."""
    import cv2

    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    content, path = encoded.tobytes(), f"{_COPIES}/{number:04}.jpg"
    write_bytes(folder / path, content)
    return replace(photo, path=path, sha256=hashlib.sha256(content).hexdigest())
