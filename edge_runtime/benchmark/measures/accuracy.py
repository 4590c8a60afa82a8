"""How often models are right about photos, through the very code that classifies on the device."""

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
    """Photos with their classes.

    Attributes:
        folder: That they are in.
        files: Path and class of each.
        unknown: Folders that aren't a class of all the models; left out.
    """

    folder: Path
    files: tuple[tuple[Path, str], ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """What was found.

    Attributes:
        accuracies: One for each model, in the order given.
        warnings: Which photos were left out, and why.
    """

    accuracies: tuple[Accuracy, ...]
    warnings: tuple[str, ...]


def find_photos(classifiers: Sequence[Classifier], folder: str | os.PathLike[str]) -> Photos:
    """Lists the photos of the classes that all the models know.

    Args:
        classifiers: The models.
        folder: With one folder for each class, named after it.

    Raises:
        SourceError: There is no such folder, or it has no photo of such a class.
    """
    known = set.intersection(*({*classifier.labels} for classifier in classifiers))
    folders = _class_folders(Path(folder), known)
    files = [(file, one.name) for one in folders if one.name in known for file in list_pictures(one)]
    return Photos(Path(folder), tuple(files), tuple(one.name for one in folders if one.name not in known))


def measure_accuracy(
    classifiers: Sequence[Classifier], photos: Photos, *, baseline: Classifier | None = None
) -> Measured:
    """Classifies each photo with each model; each is decoded once.

    Args:
        classifiers: The models.
        photos: From `find_photos`.
        baseline: One of ``classifiers``, whose answers the others are held against.

    Raises:
        ModelError: A model answers each class by itself, for which folders of one class each are no measure.
        SourceError: None of the photos can be decoded.
    """
    for classifier in classifiers:
        if classifier.model.thresholds:
            raise ModelError(
                f"Expected a model that gives one answer a photo to measure its accuracy, got "
                f"{classifier.model.path.name}, which may find several classes. Measure it by: edge-trainer evaluate."
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
        raise SourceError(f"Expected photos that OpenCV can decode in {photos.folder}, none of {len(files)} can be.")
    reference = next((given for one, given in zip(classifiers, answers, strict=True) if one is baseline), None)
    warnings = []
    if photos.unknown:
        names = ", ".join(photos.unknown)
        warnings.append(f"Folders of {photos.folder} that aren't a class of all the models were left out: {names}.")
    if damaged:
        warnings.append(f"{len(damaged)} photos can't be decoded and were left out: {', '.join(damaged[:3])}.")
    return Measured(
        tuple(_accuracy(given, truths, None if given is reference else reference) for given in answers),
        tuple(warnings),
    )


def _class_folders(photos: Path, known: set[str]) -> list[Path]:
    if not photos.is_dir():
        raise SourceError(f"Expected a folder with one folder of photos for each class at {photos}, there is none.")
    folders = sorted(entry for entry in photos.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not any(folder.name in known for folder in folders):
        names = ", ".join(folder.name for folder in folders[:4]) or "none"
        raise SourceError(
            f"Expected folders named after classes of the models ({', '.join(sorted(known)[:4]) or 'they share none'}) "
            f"in {photos}, got: {names}. Name the folder that holds them."
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
