"""Accuracy on labeled photos, measured with the code that classifies on the device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.benchmark.progress import Progress
from edge_runtime.benchmark.report import Accuracy
from edge_runtime.benchmark.timing.statistics import share_interval
from edge_runtime.errors import ModelError, SourceError
from edge_runtime.sources.pictures import list_pictures, read_picture

if TYPE_CHECKING:
    from edge_runtime.inference.classifier import Classifier


@dataclass(frozen=True)
class Photos:
    """Labeled photos.

    Attributes:
        folder: Folder of the photos.
        files: Path and class of each photo.
        unknown: Names of subfolders left out because not all models have such a class.
    """

    folder: Path
    files: tuple[tuple[Path, str], ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Measured accuracies.

    Attributes:
        accuracies: Accuracy of each model, in the given order.
        warnings: Photos that were left out, and why.
    """

    accuracies: tuple[Accuracy, ...]
    warnings: tuple[str, ...]


def find_photos(classifiers: Sequence[Classifier], folder: str | os.PathLike[str]) -> Photos:
    """List the photos of the classes that all models share.

    Args:
        classifiers: Models to measure.
        folder: Folder with one subfolder per class, named after the class.

    Raises:
        SourceError: The folder does not exist, or has no subfolder of such a class.
    """
    known = set.intersection(*({*classifier.labels} for classifier in classifiers))
    folders = _class_folders(Path(folder), known)
    files = [(file, one.name) for one in folders if one.name in known for file in list_pictures(one)]
    return Photos(Path(folder), tuple(files), tuple(one.name for one in folders if one.name not in known))


def measure_accuracy(
    classifiers: Sequence[Classifier], photos: Photos, *, baseline: Classifier | None = None
) -> Measured:
    """Classify each photo with each model; each photo is decoded once.

    Args:
        classifiers: Models to measure.
        photos: Photos from `find_photos`.
        baseline: One of ``classifiers``, with whose predictions the others are compared; None skips the agreement.

    Raises:
        ModelError: A model is multi-label, which folders with one class each cannot measure.
        SourceError: None of the photos can be decoded.
    """
    for classifier in classifiers:
        if classifier.model.thresholds:
            raise ModelError(
                f"{classifier.model.path.name} is a multi-label model, and folders with one class each cannot measure "
                "its accuracy. Use 'edge-trainer evaluate' instead."
            )
    files = photos.files
    answers: list[list[str]] = [[] for _ in classifiers]
    truths, damaged = [], []
    with Progress("accuracy") as progress:
        for number, (file, truth) in enumerate(files):
            progress.update(number / len(files))
            try:
                frame = read_picture(file)
            except SourceError:
                damaged.append(file.name)
                continue
            truths.append(truth)
            for classifier, given in zip(classifiers, answers, strict=True):
                given.append(classifier.classify(frame, top_k=1).categories[0].label)
    if not truths:
        raise SourceError(f"None of the {len(files)} photos in {photos.folder} can be decoded. Use JPEG or PNG files.")
    reference = next((given for one, given in zip(classifiers, answers, strict=True) if one is baseline), None)
    warnings = []
    if photos.unknown:
        names = ", ".join(photos.unknown)
        warnings.append(f"Left out subfolders of {photos.folder} that are not a class of every model: {names}.")
    if damaged:
        warnings.append(f"Left out {len(damaged)} photos that cannot be decoded: {', '.join(damaged[:3])}.")
    return Measured(
        tuple(_accuracy(given, truths, None if given is reference else reference) for given in answers),
        tuple(warnings),
    )


def _class_folders(photos: Path, known: set[str]) -> list[Path]:
    if not photos.is_dir():
        raise SourceError(f"Photo folder {photos} not found. Choose a folder with one subfolder per class.")
    folders = sorted(entry for entry in photos.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not any(folder.name in known for folder in folders):
        names = ", ".join(folder.name for folder in folders[:4]) or "none"
        raise SourceError(
            f"No subfolder of {photos} is named after a class that all models share "
            f"({', '.join(sorted(known)[:4]) or 'none'}); found: {names}. Choose the folder that contains them."
        )
    return folders


def _accuracy(answers: Sequence[str], truths: Sequence[str], reference: Sequence[str] | None) -> Accuracy:
    count = len(truths)
    right = sum(answer == truth for answer, truth in zip(answers, truths, strict=True))
    low, high = share_interval(right, count)
    same = None
    if reference is not None:
        same = sum(answer == other for answer, other in zip(answers, reference, strict=True)) / count
    return Accuracy(right / count, "measured", "", count, low, high, same)
