"""Renders the page of a check: findings with their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from trainer.data.formats import find_photos
from trainer.data.images import read_image
from trainer.errors import DatasetError
from trainer.reports.rendering import page_template, picture_uri
from trainer.workflows.check.check import CheckReport
from trainer.workflows.check.text import findings, summary

_SHOWN = 30  # pictures or groups per kind of finding
_OF_A_GROUP = 6  # pictures per group of duplicates
_SHEET = 480  # pictures of the contact sheet, all classes together
_SMALL, _LARGE = 88, 160  # pixels, the longer side

_T = TypeVar("_T")


class Picture(NamedTuple):
    """Picture on the page.

    Attributes:
        uri: ``data:`` URI; empty if the file can no longer be read.
        path: Path relative to the root.
        note: Caption.
    """

    uri: str
    path: str
    note: str


def render_check_page(report: CheckReport) -> str:
    """Render the page: styles and thumbnails are inside, it fetches nothing and has no script.

    Args:
        report: Result of the check; the pictures to show are read again.
    """
    root = Path(report.root)
    found = findings(report)
    unreadable = {path for path, _ in report.unreadable}
    by_class: dict[str, list[str]] = {label: [] for label in report.labels}
    for entry in find_photos(report.source).entries:
        if entry.path not in unreadable:
            for label in entry.labels:
                by_class[label].append(entry.path)
    each = max(4, min(24, _SHEET // max(1, len(by_class))))
    same = [group for group in (*report.duplicates, *report.near_duplicates) if group.contradict or group.leak]
    same += [group for group in (*report.near_duplicates, *report.duplicates) if not (group.contradict or group.leak)]
    return page_template("check.html.j2").render(
        content={"title": Path(report.source).resolve().name},
        report=report,
        summary=summary(report),
        findings=found,
        names=list(report.counts),
        same=[
            [
                _picture(root, path, f"{label}, {split}" if report.given_split or not report.stops else label)
                for path, label, split in list(zip(group.paths, group.labels, group.splits, strict=True))[:_OF_A_GROUP]
            ]
            for group in same[:_SHOWN]
        ],
        same_count=len(same),
        suspects=[(suspect, _picture(root, suspect.path, "").uri) for suspect in (report.suspects or ())[:_SHOWN]],
        faults=[_picture(root, fault.path, f"{fault.kind} ({fault.value:g})") for fault in report.faults[:_SHOWN]],
        leaks=[
            (
                leak,
                [
                    _picture(root, path, split, _SMALL)
                    for path, split in _spread(list(zip(leak.paths, leak.splits, strict=True)), 12)
                ],
            )
            for leak in report.leaks[:8]
        ],
        sheet=[
            (label, len(paths), [_picture(root, path, "", _SMALL) for path in _spread(paths, each)])
            for label, paths in by_class.items()
        ],
    )


def _picture(root: Path, path: str, note: str, side: int = _LARGE) -> Picture:
    try:
        return Picture(picture_uri(read_image(root / path), side), path, note)
    except DatasetError:  # removed since the check
        return Picture("", path, note)


def _spread(items: Sequence[_T], count: int) -> list[_T]:
    """Return up to ``count`` items, evenly spaced."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]
