"""Checks photos before training: what is there, what is wrong with it, and whether training would start."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.config import Recipe
from trainer.data.dataset import FoundPhoto, Survey, split_photos, survey
from trainer.data.formats.packed import require_files
from trainer.errors import TrainerError, WeightsError
from trainer.training.networks.backbones import get_backbone
from trainer.training.networks.contract import input_size
from trainer.types import SPLITS, Dataset
from trainer.workflows.check.capture_sessions import Leak, leaks
from trainer.workflows.check.faults import FAULTS, Fault, faults_of
from trainer.workflows.check.label_errors import find_suspects, reason_against
from trainer.workflows.check.near_duplicates import grouped, near_duplicates

SCHEMA_VERSION = 1
UNSPLIT = "photos"
"""Name in place of a split if the photos can't be split."""


@dataclass(frozen=True)
class ImageSizes:
    """Heights and widths of the readable photos, in pixels.

    Attributes:
        min_height, median_height, max_height: Statistics of the heights.
        min_width, median_width, max_width: Statistics of the widths.
        smaller_than_input: Number of photos that must be enlarged for the network.
        input_size: Height and width of the network's input.
    """

    min_height: int
    median_height: int
    max_height: int
    min_width: int
    median_width: int
    max_width: int
    smaller_than_input: int
    input_size: int


@dataclass(frozen=True)
class Duplicates:
    """Files that show the same picture.

    Attributes:
        paths: Paths of the files, sorted.
        labels: Class of each file.
        splits: Split of each file.
        similarity: Similarity of the least similar pair in the group, up to 1; 1 for identical bytes.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    similarity: float

    @property
    def contradict(self) -> bool:
        """Whether the files have different classes."""
        return len(set(self.labels)) > 1

    @property
    def leak(self) -> bool:
        """Whether the files are in different splits."""
        return len(set(self.splits)) > 1


@dataclass(frozen=True)
class SuspectLabel:
    """Photo that probably belongs to another class.

    Attributes:
        path: Path of the photo.
        given: Its class.
        suggested: More likely class.
        given_likelihood: Likelihood of its class, 0–1, predicted from the other photos.
        suggested_likelihood: Likelihood of the suggested class, 0–1.
    """

    path: str
    given: str
    suggested: str
    given_likelihood: float
    suggested_likelihood: float


@dataclass(frozen=True)
class CheckReport:
    """Result of `check_photos`.

    Attributes:
        source: Folder or list that was checked.
        root: Folder that paths are relative to.
        kind: Layout of the source, such as ``"class folders"``.
        photos: Number of readable photos.
        labels: Names of the classes, sorted.
        multi_label: True if photos may show several classes.
        counts: Readable photos by split and class: ``counts["train"]["cat"]``. If the photos can't be split, the only
            keys are the given splits or ``"photos"``.
        given_split: True if the source defines the splits.
        imbalance: Size of the largest class over that of the smallest, over all splits; 0 if a class has no photos.
        unreadable: Path and reason of each file that can't be used.
        duplicates: Groups of files with identical bytes.
        near_duplicates: Groups of files that show the same picture in different bytes.
        leaks: Capture sessions with photos in several splits.
        faults: Low-quality photos, the worst kind first.
        suspects: Probable label errors, the most likely first; None if they weren't looked for.
        suspects_skipped: Reason why they weren't looked for, else empty.
        suspects_accuracy: Cross-validated accuracy of the predictions behind ``suspects``, 0–1.
        sizes: Sizes of the photos; None if no photo is readable.
        stops: Reason why `trainer.train` would refuse the photos; empty if they are ready to train.
        schema_version: Version of the dict that `to_dict` returns.
    """

    source: str
    root: str
    kind: str
    photos: int
    labels: tuple[str, ...]
    multi_label: bool
    counts: dict[str, dict[str, int]]
    given_split: bool
    imbalance: float
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[Duplicates, ...]
    near_duplicates: tuple[Duplicates, ...]
    leaks: tuple[Leak, ...]
    faults: tuple[Fault, ...]
    suspects: tuple[SuspectLabel, ...] | None
    suspects_skipped: str
    suspects_accuracy: float
    sizes: ImageSizes | None
    stops: str
    schema_version: int = SCHEMA_VERSION

    @property
    def class_counts(self) -> dict[str, int]:
        """Readable photos by class, over all splits."""
        return {label: sum(counts[label] for counts in self.counts.values()) for label in self.labels}

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return asdict(self)


def check_photos(source: str | Path, recipe: Recipe | None = None, *, suspects: bool | None = None) -> CheckReport:
    """Check photos for problems before training on them.

    Every photo is decoded in full. The check finds unreadable files, duplicates and near-duplicates, capture sessions
    that leak from one split into another, low-quality photos, class imbalance and, if possible, probable label errors.
    Nothing is written or changed.

        report = check_photos("photos")
        if report.stops:
            print(report.stops)

    Args:
        source: Folder of photos, or list in one of the formats of `trainer.data.formats`. Packed shards are refused.
        recipe: Recipe that the photos would be split and trained by. Default: ``Recipe()``.
        suspects: Whether to look for label errors. This needs TensorFlow, pretrained weights of the recipe's backbone,
            and at least 10 photos of each class with one label each. True raises an error if the weights can't be
            loaded; None (default) skips the search instead; False always skips it. ``suspects_skipped`` of the report
            gives the reason.

    Returns:
        The report. Problems with the photos are findings in it, not errors.

    Raises:
        DatasetError: ``source`` doesn't exist, is packed, or contains no photos.
        WeightsError: ``suspects`` is True, and the backbone's weights can't be loaded.
    """
    recipe = recipe or Recipe()
    require_files(source, "check")
    found = survey(source, decode=True)
    photos = found.readable
    dataset, stops = None, ""
    try:
        dataset = split_photos(found, data=recipe.data, seed=recipe.seed)
        split_of: dict[str, str] = {photo.path: photo.split for photo in dataset.photos}
    except TrainerError as error:
        stops = str(error)
        split_of = {photo.path: photo.given or UNSPLIT for photo in photos}
    labels = tuple(sorted({label for classes in found.classes.values() for label in classes}))
    placed = Counter((split_of[photo.path], label) for photo in photos for label in photo.labels)
    per_class = Counter(label for photo in photos for label in photo.labels)
    fewest = min((per_class[label] for label in labels), default=0)
    equal, alike = _duplicates(photos, split_of)
    size = input_size(recipe)
    wrong, skipped, accuracy = _suspects(found, dataset, stops, recipe, (*equal, *alike), asked=suspects)
    return CheckReport(
        source=str(source),
        root=str(found.root),
        kind=found.kind,
        photos=len(photos),
        labels=labels,
        multi_label=found.multi_label,
        counts={
            name: {label: placed[name, label] for label in labels}
            for name in (*SPLITS, UNSPLIT)
            if any(split == name for split, _ in placed)
        },
        given_split=set(found.classes) not in ({None}, {"train"}),
        imbalance=round(max(per_class.values()) / fewest, 2) if fewest else 0.0,
        unreadable=found.unreadable,
        duplicates=equal,
        near_duplicates=alike,
        leaks=tuple(
            leaks(
                [photo.path for photo in photos],
                [split_of[photo.path] for photo in photos],
                [photo.facts.taken_at for photo in photos],
                [photo.facts.measures for photo in photos if photo.facts.measures],
            )
        ),
        faults=_faults(photos, size),
        suspects=wrong,
        suspects_skipped=skipped,
        suspects_accuracy=accuracy,
        sizes=_sizes(photos, size),
        stops=stops,
    )


def _duplicates(
    photos: Sequence[FoundPhoto], split_of: dict[str, str]
) -> tuple[tuple[Duplicates, ...], tuple[Duplicates, ...]]:
    """Group files with identical bytes, and files that only look the same, one of each set of bytes."""
    copies: dict[str, list[FoundPhoto]] = defaultdict(list)
    for photo in photos:
        copies[photo.facts.sha256].append(photo)

    def made(members: Sequence[FoundPhoto], similarity: float) -> Duplicates:
        paths = tuple(photo.path for photo in members)
        labels = tuple(photo.label for photo in members)
        return Duplicates(paths, labels, tuple(split_of[path] for path in paths), round(similarity, 3))

    equal = tuple(made(members, 1.0) for members in copies.values() if len(members) > 1)
    firsts = [members[0] for members in copies.values()]
    pairs = near_duplicates([photo.facts.measures for photo in firsts if photo.facts.measures])
    groups = grouped([(one, other) for one, other, _ in pairs])
    group_of = {index: number for number, group in enumerate(groups) for index in group}
    least = [0.999] * len(groups)  # 1 is reserved for identical bytes
    for one, _, similarity in pairs:
        least[group_of[one]] = min(least[group_of[one]], similarity)
    alike = [made([firsts[index] for index in group], low) for group, low in zip(groups, least, strict=True)]
    # The most harmful first: one picture in two classes, then one in two splits.
    alike.sort(key=lambda group: (not group.contradict, not group.leak, -group.similarity))
    return equal, tuple(alike)


def _faults(photos: Sequence[FoundPhoto], size: int) -> tuple[Fault, ...]:
    found = [fault for photo in photos for fault in faults_of(photo.path, photo.facts, size)]
    # High values are worse for overexposed photos, low ones for all others.
    found.sort(key=lambda fault: (FAULTS.index(fault.kind), -fault.value if fault.kind == "bright" else fault.value))
    return tuple(found)


def _suspects(
    found: Survey,
    dataset: Dataset | None,
    stops: str,
    recipe: Recipe,
    duplicates: Sequence[Duplicates],
    *,
    asked: bool | None,
) -> tuple[tuple[SuspectLabel, ...] | None, str, float]:
    """Return the suspects, the reason why they were skipped, and the accuracy of the predictions."""
    from trainer.training.networks.weights import resolve_weights

    if asked is False:
        return None, "not requested", 0.0
    if found.multi_label:
        return None, "not supported for multi-label photos", 0.0
    if dataset is None:
        return None, "the photos are not ready to train", 0.0
    if reason := reason_against([photo.label for photo in dataset.photos], dataset.labels):
        return None, reason, 0.0
    said: list[str] = []
    try:
        weights = resolve_weights(
            get_backbone(recipe.model.backbone), recipe.model.weights, input_size(recipe), log=said.append
        )
    except WeightsError as error:
        if asked:
            raise
        return None, str(error), 0.0
    if weights is None:
        return None, "it needs pretrained weights, and the recipe (model.weights) uses none", 0.0

    from trainer.workflows.check.features import backbone_features

    features, labels, paths = backbone_features(dataset, recipe, weights)
    number = {path: index for index, path in enumerate(paths)}
    groups = list(range(len(paths)))
    for group in duplicates:
        here = [number[path] for path in group.paths if path in number]
        for index in here:
            groups[index] = groups[here[0]]
    suspects, accuracy = find_suspects(features, labels, groups, seed=recipe.seed)
    return (
        tuple(
            SuspectLabel(
                path=paths[suspect.index],
                given=dataset.labels[labels[suspect.index]],
                suggested=dataset.labels[suspect.suggested],
                given_likelihood=suspect.given_likelihood,
                suggested_likelihood=suspect.suggested_likelihood,
            )
            for suspect in suspects
        ),
        "",
        round(accuracy, 4),
    )


def _sizes(photos: Sequence[FoundPhoto], size: int) -> ImageSizes | None:
    if not photos:
        return None
    heights = [photo.facts.height for photo in photos]
    widths = [photo.facts.width for photo in photos]
    return ImageSizes(
        min_height=min(heights),
        median_height=int(statistics.median(heights)),
        max_height=max(heights),
        min_width=min(widths),
        median_width=int(statistics.median(widths)),
        max_width=max(widths),
        smaller_than_input=sum(min(sides) < size for sides in zip(heights, widths, strict=True)),
        input_size=size,
    )
