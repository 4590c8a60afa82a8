"""Looks over photos before they are trained on: what there is, what is wrong with it, would train stop."""

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
from trainer.workflows.check.faults import FAULTS, Fault, faults_of
from trainer.workflows.check.near_duplicates import grouped, near_duplicates
from trainer.workflows.check.sessions import Leak, leaks
from trainer.workflows.check.suspects import find_suspects, reason_against

SCHEMA_VERSION = 1
UNSPLIT = "photos"
"""Stands for a split where there is none."""


@dataclass(frozen=True)
class ImageSizes:
    """Heights and widths of the readable photos, in pixels.

    Attributes:
        min_height, median_height, max_height: Of the heights.
        min_width, median_width, max_width: Of the widths.
        smaller_than_input: Photos that have to be enlarged for the network.
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
        paths: Of the files, sorted.
        labels: Class of each.
        splits: Split of each.
        similarity: Of the least similar pair that was joined, up to 1; 1 for equal bytes.
    """

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    similarity: float

    @property
    def contradict(self) -> bool:
        """Whether they are said to be different things."""
        return len(set(self.labels)) > 1

    @property
    def leak(self) -> bool:
        """Whether they lie in several splits."""
        return len(set(self.splits)) > 1


@dataclass(frozen=True)
class SuspectLabel:
    """A photo that another class fits better.

    Attributes:
        path: Of the photo.
        given: Its class.
        suggested: The other one.
        given_likelihood: 0–1, by photos other than this one.
        suggested_likelihood: The same.
    """

    path: str
    given: str
    suggested: str
    given_likelihood: float
    suggested_likelihood: float


@dataclass(frozen=True)
class CheckReport:
    """What photos are like.

    Attributes:
        source: What was checked: a folder or a list.
        root: The folder that paths are relative to.
        kind: What was read, as ``"class folders"``.
        photos: Readable photos.
        labels: Names of the classes, sorted.
        multi_label: Whether photos may show several classes.
        counts: Readable photos for each split and class: ``counts["train"]["cat"]``. Where they can't be split, those
            under ``"photos"`` or the given splits' names.
        given_split: True where the splits are given.
        imbalance: Largest class over smallest, over all splits; 0 where a class has no photos.
        unreadable: Path and reason.
        duplicates: Files with equal bytes.
        near_duplicates: Files that show the same picture in different bytes.
        leaks: Capture sessions in several splits.
        faults: Pictures that show too little, the worst kind first.
        suspects: Labels that are likely to be wrong, the clearest first; None where they weren't looked for.
        suspects_skipped: Why not; empty where they were.
        suspects_accuracy: Of the likelihoods by which they were found, 0–1.
        sizes: None where no photo is readable.
        stops: Why ``train`` would stop; empty where it wouldn't.
        schema_version: Of `to_dict`.
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
        """Readable photos for each class, over all splits."""
        return {label: sum(counts[label] for counts in self.counts.values()) for label in self.labels}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_photos(source: str | Path, recipe: Recipe | None = None, *, suspects: bool | None = None) -> CheckReport:
    """Looks over photos; each is decoded in full.

    Args:
        source: A folder or a list, as `trainer.data.formats` reads them.
        recipe: By which they would be split and trained.
        suspects: Whether wrong labels are looked for, which takes TensorFlow and the backbone's weights; None: where
            it can be done.

    Raises:
        DatasetError: There is no such source, or no picture in it.
        WeightsError: ``suspects`` is True, and the weights can't be had.
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
    """Those of equal bytes, and those that only look the same, of which one for each set of bytes is named."""
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
    least = [0.999] * len(groups)  # 1 is for equal bytes
    for one, _, similarity in pairs:
        least[group_of[one]] = min(least[group_of[one]], similarity)
    alike = [made([firsts[index] for index in group], low) for group, low in zip(groups, least, strict=True)]
    # What does most harm comes first: the same picture as two things, then one that is both learned and measured.
    alike.sort(key=lambda group: (not group.contradict, not group.leak, -group.similarity))
    return equal, tuple(alike)


def _faults(photos: Sequence[FoundPhoto], size: int) -> tuple[Fault, ...]:
    found = [fault for photo in photos for fault in faults_of(photo.path, photo.facts, size)]
    # Large values are worse where a picture is too bright, small ones elsewhere.
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
    """The suspects, why they weren't looked for, and the accuracy of the likelihoods."""
    from trainer.training.networks.weights import resolve_weights

    if asked is False:
        return None, "not asked for", 0.0
    if found.multi_label:
        return None, "photos have several labels", 0.0
    if dataset is None:
        return None, "training would stop", 0.0
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
        return None, "it takes a backbone that has been trained: model.weights gives none", 0.0

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
