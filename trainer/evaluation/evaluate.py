"""Measure a model file on pictures, through the runtime that ships it."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import DatasetError
from trainer.evaluation.metrics import evaluation_from_answers
from trainer.evaluation.multi_label import evaluation_from_scores
from trainer.types import Evaluation, Pixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime import BackendInfo, Classifier
    from trainer.evaluation.multi_label import MultiLabelEvaluation

_MOST_SCORES = 1 << 26  # 256 MiB; with more, only the top-1 scores are kept


def evaluate_pixels(
    model: Path, pixels: Pixels, split: str, *, thresholds: Sequence[float] = (), **options: Any
) -> Evaluation:
    """Measure a model on cached pictures.

    Args:
        model: The ``.tflite`` file. Its classes are those of the pictures.
        pixels: Pictures, resized to the network's input.
        split: Name of the split, stored in the result.
        thresholds: Score threshold of each class, for multi-label pictures. Empty: the thresholds with the best F1 on
            these pictures, which is only right for the validation split.
        **options: Further arguments for `edge_runtime.Classifier`.
    """
    from edge_runtime import Classifier

    with Classifier(model, **{"num_threads": 1, **options}) as classifier:  # does not change the predictions
        if pixels.labels.ndim == 2:
            return _evaluate_each_class(classifier, pixels.images, pixels.labels.tolist(), split, thresholds)
        return _evaluate(classifier, pixels.images, pixels.labels.tolist(), split)


def evaluate_folder(
    classifier: Classifier, root: Path, photos: Iterable[tuple[str, Sequence[str]]], split: str
) -> tuple[Evaluation, tuple[tuple[str, str], ...]]:
    """Measure a model on labeled photos.

    A multi-label model (one with a threshold for each class) is measured on every class of every photo.

    Args:
        classifier: The model.
        root: The data set's folder.
        photos: Path relative to the folder and class names of each photo.
        split: Name of the split, stored in the result.

    Returns:
        The evaluation, and path and reason of each photo that can't be decoded.

    Raises:
        DatasetError: A class isn't one of the model's labels, a photo has several labels and the model predicts only
            one, or no photo can be decoded.
    """
    from trainer.data.images import read_image

    index = {label: number for number, label in enumerate(classifier.labels)}
    photos = list(photos)
    _require_known(photos, classifier.labels)
    thresholds = classifier.model.thresholds
    several = next((path for path, labels in photos if len(labels) != 1), None)
    if several is not None and not thresholds:
        raise DatasetError(
            f"{several} doesn't have exactly one label, and {classifier.model.path.name} predicts one class per photo. "
            "Evaluate a multi-label model instead."
        )
    readable: list[Any] = []
    unreadable: list[tuple[str, str]] = []

    def frames() -> Iterable[NDArray[np.uint8]]:
        for path, labels in photos:
            try:
                frame = read_image(root / path)
            except DatasetError as error:
                unreadable.append((path, str(error)))
                continue
            readable.append([int(name in labels) for name in index] if thresholds else index[labels[0]])
            yield frame

    # `readable` grows as the frames are consumed, so it is complete when it is read.
    evaluation: Evaluation
    if thresholds:
        evaluation = _evaluate_each_class(classifier, frames(), readable, split, thresholds, total=len(photos))
    else:
        evaluation = _evaluate(classifier, frames(), readable, split, total=len(photos))
    return evaluation, tuple(unreadable)


def evaluate_photos(
    model: str | Path, photos: str | Path, *, split: str | None = None, **options: Any
) -> tuple[Evaluation, tuple[tuple[str, str], ...]]:
    """Measure any ``.tflite`` classifier on a folder of photos.

    Args:
        model: The model file.
        photos: Folder laid out as ``<class>/*`` or ``{train,val,test}/<class>/*``, with classes named like the model's
            labels.
        split: ``"train"``, ``"val"``, ``"test"`` (if the folder has it) or ``"all"``. Default: the test split if there
            is one, else all photos.
        **options: Further arguments for `edge_runtime.Classifier`.

    Returns:
        The evaluation, and path and reason of each photo that can't be decoded.

    Raises:
        DatasetError: The folder holds no photos or no such split, or a class isn't one of the model's labels.
    """
    from edge_runtime import Classifier
    from trainer.data.formats.packed import require_files

    require_files(photos, "measure a model on")
    with Classifier(model, **options) as classifier:
        root, split, chosen = _photos_of(photos, split)
        return evaluate_folder(classifier, root, chosen, split)


def read_rgb_pixels(
    model: str | Path, photos: str | Path, *, split: str | None = None, limit: int, seed: int = 0
) -> Pixels:
    """Read some of the photos that `evaluate_photos` would use, as RGB at the size of the model's input.

    Args:
        model: The model file.
        photos: Folder of photos, as for `evaluate_photos`.
        split: Split to read, as for `evaluate_photos`.
        limit: Maximum number of photos, drawn at random; those that can't be decoded are skipped.
        seed: Random seed of the draw.

    Raises:
        DatasetError: The folder is unsuitable (see `evaluate_photos`), or no photo can be decoded.
    """
    from edge_runtime import read_model_file, resize_frame
    from trainer.data.images import read_image

    found = read_model_file(model)
    # A single mean and std fit any number of channels; resizing uses neither.
    contract = replace(found.contract, color="rgb", mean=(0.0,), std=(1.0,))
    root, split, chosen = _photos_of(photos, split)
    _require_known(chosen, found.labels)
    order = np.random.default_rng(seed).permutation(len(chosen))
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    paths: list[str] = []
    for path, shown in (chosen[index] for index in order):
        if len(images) == limit:
            break
        try:
            images.append(resize_frame(read_image(root / path), contract, color="rgb"))
        except DatasetError:
            continue
        labels.append(found.labels.index(shown[0]))
        paths.append(path)
    if not images:
        raise DatasetError(f"None of the photos in {photos} can be read. Check the files with `edge-trainer check`.")
    return Pixels(np.stack(images), np.array(labels, np.int64), tuple(paths))


def _photos_of(photos: str | Path, split: str | None) -> tuple[Path, str, list[tuple[str, tuple[str, ...]]]]:
    """Return the folder, the split's name, and path and classes of its photos."""
    from trainer.data.dataset import survey

    found = survey(photos)
    given = {photo.given for photo in found.photos}
    if split is None:
        split = "test" if "test" in given else "all"
    if split != "all" and split not in given:
        raise DatasetError(f"{photos} has no {split} folder. Choose the split 'all' to use every photo.")
    return found.root, split, [(photo.path, photo.labels) for photo in found.photos if split in ("all", photo.given)]


def _require_known(photos: Iterable[tuple[str, Sequence[str]]], labels: Sequence[str]) -> None:
    unknown = sorted({label for _, shown in photos for label in shown} - set(labels))
    if unknown:
        raise DatasetError(
            f"The model has no class {_some(unknown)}; its labels are {_some(list(labels))}. "
            "Rename the class folders, or evaluate another model."
        )


def describe_kernels(backend: BackendInfo) -> str:
    """Describe the backend, threads and kernels that ran a model, for reports."""
    kernels = {
        "on": ", XNNPACK INT8 kernels on",
        "off": f", XNNPACK INT8 kernels off ({backend.int8_kernels_reason})",
        "built in": ", INT8 kernels built in",
    }.get(backend.int8_kernels, "")
    threads = f"{backend.num_threads} thread{'s' if backend.num_threads > 1 else ''}"
    return f"{backend.name} {backend.version}, {threads}{kernels}"


def _evaluate(
    classifier: Classifier, frames: Iterable[NDArray[np.uint8]], labels: list[int], split: str, total: int | None = None
) -> Evaluation:
    predicted: list[int] = []
    scores: list[float] = []
    times: list[float] = []
    every: list[NDArray[np.float32]] = []
    count = total or len(labels)
    keep = count * len(classifier.labels) <= _MOST_SCORES
    for frame in _counted(classifier, frames, split, count):
        prediction = classifier.classify(frame, color="rgb", top_k=1, all_scores=keep)
        predicted.append(prediction.categories[0].index)
        scores.append(prediction.categories[0].score)
        times.append(prediction.inference_ms)
        if prediction.scores is not None:
            every.append(prediction.scores)
    all_scores = np.stack(every) if every else None
    return evaluation_from_answers(
        classifier.model.path.name,
        split,
        labels,
        predicted,
        scores,
        classifier.labels,
        median(times) if times else 0.0,
        describe_kernels(classifier.backend),
        all_scores,
    )


def _evaluate_each_class(
    classifier: Classifier,
    frames: Iterable[NDArray[np.uint8]],
    labels: list[list[int]],
    split: str,
    thresholds: Sequence[float],
    total: int | None = None,
) -> MultiLabelEvaluation:
    scores: list[NDArray[np.float32]] = []
    times: list[float] = []
    for frame in _counted(classifier, frames, split, total or len(labels)):
        prediction = classifier.classify(frame, color="rgb", all_scores=True)
        assert prediction.scores is not None  # requested above
        scores.append(prediction.scores)
        times.append(prediction.inference_ms)
    classes = len(classifier.labels)
    return evaluation_from_scores(
        classifier.model.path.name,
        split,
        np.reshape(labels, (len(labels), classes)),
        np.reshape(scores, (len(scores), classes)),
        classifier.labels,
        median(times) if times else 0.0,
        describe_kernels(classifier.backend),
        thresholds,
    )


def _counted(
    classifier: Classifier, frames: Iterable[NDArray[np.uint8]], split: str, total: int
) -> Iterable[NDArray[np.uint8]]:
    from tqdm import tqdm

    bar: Iterable[NDArray[np.uint8]] = tqdm(
        frames, f"Measuring {classifier.model.path.name} on {split}", total, delay=0.5, leave=False
    )
    return bar


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
