"""Stored answers (partial results) of long measurements, one file per seed, so that they can be resumed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.harness import results
from benchmarks.subjects.photo_runs import WORK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def remembered(measurement: str, case: str, quick: bool, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the stored answers of a case, or measure and store them.

    Args:
        measurement: Name of the measurement.
        case: Name of one of its cases, such as a seed.
        quick: If True, the answers are kept apart from the results.
        measure: Function that returns the answers as a JSON-serializable dict.
    """
    from trainer.storage import write_json

    file = _folder(measurement, quick) / f"{case}.json"
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    found = measure()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, found)
    print(f"{measurement}, {case}: {found}", file=sys.stderr)
    return found


def forget(measurement: str, quick: bool) -> None:
    """Delete the stored answers, so that everything is measured again."""
    for file in _folder(measurement, quick).glob("*.json"):
        file.unlink()


def _folder(measurement: str, quick: bool) -> Path:
    return WORK / "quick" / measurement if quick else results.default_path(measurement).with_suffix("") / measurement
