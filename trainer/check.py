"""Looks over a folder of photos before it is trained on: what is in it, what is wrong with it, would train stop."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from trainer.config import DataConfig
from trainer.dataset import FoundPhoto, split_photos, survey
from trainer.errors import TrainerError
from trainer.types import SPLITS

_UNSPLIT = "photos"  # stands for a split where there is none
_IMBALANCE = 3.0  # the largest class may be this many times the smallest


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
class CheckReport:
    """What a folder of photos is like.

    Attributes:
        root: The folder.
        photos: Readable photos.
        labels: Names of the classes, sorted.
        counts: Readable photos for each split and class: ``counts["train"]["cat"]``. Where the folder can't be
            split, those under ``"photos"`` or the given splits' names.
        given_split: True where the folder itself holds train/val/test.
        imbalance: Largest class over smallest, over all splits; 0 where a class has no photos.
        unreadable: Path and reason.
        duplicates: Groups of paths with equal bytes.
        duplicates_across_splits: Those of them that lie in more than one given split.
        contradictions: Those of them that lie in more than one class.
        sizes: None where no photo is readable.
        warnings: What is worth a look, a sentence each.
        stops: Why ``train`` would stop; empty where it wouldn't.
    """

    root: str
    photos: int
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    given_split: bool
    imbalance: float
    unreadable: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, ...], ...]
    duplicates_across_splits: tuple[tuple[str, ...], ...]
    contradictions: tuple[tuple[str, ...], ...]
    sizes: ImageSizes | None
    warnings: tuple[str, ...]
    stops: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check(root: str | Path, *, data: DataConfig | None = None, seed: int = 0, input_size: int = 224) -> CheckReport:
    """Looks over a folder of photos; each is decoded in full.

    Args:
        root: The folder, laid out as `trainer.dataset` says.
        data: As for training.
        seed: Of the split that training would make.
        input_size: Height and width of the network's input, in pixels.

    Raises:
        DatasetError: There is no such folder, or no picture in it.
    """
    found = survey(root, decode=True)
    photos = found.readable
    labels = tuple(sorted({label for classes in found.classes.values() for label in classes}))
    per_class = Counter(photo.label for photo in photos)
    fewest = min((per_class[label] for label in labels), default=0)
    stops = ""
    try:
        dataset = split_photos(found, data=data or DataConfig(), seed=seed)
        placed: Counter[tuple[str, str]] = Counter((p.split, dataset.labels[p.label]) for p in dataset.photos)
    except TrainerError as error:
        stops = str(error)
        placed = Counter((photo.given or _UNSPLIT, photo.label) for photo in photos)
    groups = _duplicates(photos)
    given = {photo.path: photo.given for photo in photos}
    classes = {photo.path: photo.label for photo in photos}
    report = CheckReport(
        root=str(root),
        photos=len(photos),
        labels=labels,
        counts={
            name: {label: placed[name, label] for label in labels}
            for name in (*SPLITS, _UNSPLIT)
            if any(split == name for split, _ in placed)
        },
        given_split=len(found.classes) > 1,
        imbalance=round(max(per_class.values()) / fewest, 2) if fewest else 0.0,
        unreadable=found.unreadable,
        duplicates=groups,
        duplicates_across_splits=tuple(g for g in groups if len({given[path] for path in g}) > 1),
        contradictions=tuple(g for g in groups if len({classes[path] for path in g}) > 1),
        sizes=_sizes(photos, input_size),
        warnings=(),
        stops=stops,
    )
    return replace(report, warnings=tuple(_warnings(report, per_class, len(found.photos))))


def format_text(report: CheckReport) -> str:
    """Lays a report out for a person."""
    lines = [f"{report.photos} photos in {len(report.labels)} classes, {report.root}", ""]
    lines += _count_table(report)
    sizes = report.sizes
    if sizes:
        lines += [
            "",
            f"Height  {sizes.min_height} to {sizes.max_height} px, median {sizes.median_height}",
            f"Width   {sizes.min_width} to {sizes.max_width} px, median {sizes.median_width}",
        ]
    lines += _listing("Unreadable", [f"{path}: {reason}" for path, reason in report.unreadable])
    lines += _listing("The same picture in several classes", [" = ".join(g) for g in report.contradictions])
    lines += _listing("The same picture in several splits", [" = ".join(g) for g in report.duplicates_across_splits])
    told = {*report.contradictions, *report.duplicates_across_splits}
    lines += _listing("Exact duplicates", [" = ".join(g) for g in report.duplicates if g not in told])
    lines += ["", *(f"Warning: {warning}" for warning in report.warnings)] if report.warnings else []
    lines += ["", f"Training would stop: {report.stops}" if report.stops else "Ready to train."]
    return "\n".join(lines)


def _duplicates(photos: Sequence[FoundPhoto]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        groups[photo.facts.sha256].append(photo.path)
    return tuple(tuple(paths) for paths in groups.values() if len(paths) > 1)


def _sizes(photos: Sequence[FoundPhoto], input_size: int) -> ImageSizes | None:
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
        smaller_than_input=sum(min(size) < input_size for size in zip(heights, widths, strict=True)),
        input_size=input_size,
    )


def _warnings(report: CheckReport, per_class: Counter[str], files: int) -> list[str]:
    warnings = []
    if report.imbalance > _IMBALANCE:
        most = max(report.labels, key=lambda label: per_class[label])
        least = min(report.labels, key=lambda label: per_class[label])
        warnings.append(
            f"{most} has {report.imbalance:.1f} times as many photos as {least} "
            f"({per_class[most]} and {per_class[least]}); add photos of {least}, or read its recall in the report."
        )
    if report.unreadable:
        warnings.append(f"{len(report.unreadable)} of {files} files can't be read and are left out.")
    if report.contradictions:
        warnings.append(f"The same picture in several classes: {len(report.contradictions)} times. Keep it in one.")
    if report.duplicates_across_splits:
        warnings.append(
            f"The same picture in several splits: {len(report.duplicates_across_splits)} times. Keep it in one, or "
            "accuracy is measured on what was learned."
        )
    sizes = report.sizes
    if sizes and sizes.smaller_than_input > report.photos / 2:
        warnings.append(
            f"{sizes.smaller_than_input} of {report.photos} photos are smaller than the network's input of "
            f"{sizes.input_size} px and are enlarged; a smaller input may do as well, and is faster."
        )
    return warnings


def _count_table(report: CheckReport) -> list[str]:
    names = list(report.counts)
    first = max([len("class"), len("total"), *map(len, report.labels)])
    heads = [*names, *(["total"] if len(names) > 1 else [])]

    def row(label: str, numbers: Sequence[int]) -> str:
        numbers = [*numbers, sum(numbers)] if len(names) > 1 else numbers
        return f"{label:<{first}}" + "".join(f"{number:>8}" for number in numbers)

    lines = [f"{'class':<{first}}" + "".join(f"{head:>8}" for head in heads)]
    lines += [row(label, [report.counts[name][label] for name in names]) for label in report.labels]
    return [*lines, row("total", [sum(report.counts[name].values()) for name in names])]


def _listing(title: str, entries: Sequence[str], *, limit: int = 20) -> list[str]:
    if not entries:
        return []
    more = [f"  and {len(entries) - limit} more"] if len(entries) > limit else []
    return ["", f"{title} ({len(entries)}):", *(f"  {entry}" for entry in entries[:limit]), *more]
