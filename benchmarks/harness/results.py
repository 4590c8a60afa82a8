"""Stored results: one JSON file per machine, in which measurements are replaced one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.harness.figure import Figure

FOLDER = Path(__file__).parents[1] / "results"

_ARM_COUNTS = "emulated-arm.json"
_ACCURACIES = "accuracies.json"
_ON_ANY_MACHINE = {
    "arm_counts": _ARM_COUNTS,
    **dict.fromkeys(("augmentation", "seeds", "seeds_large", "transfer", "distillation"), _ACCURACIES),
}
"""Files of the measurements that do not depend on the processor."""
_TITLES = {
    _ARM_COUNTS: "Emulated processors of Raspberry Pis",
    _ACCURACIES: "Accuracies after training, which a processor changes by rounding alone",
}


@dataclass(frozen=True)
class Measurement:
    """Results of one measurement.

    Attributes:
        date: ISO date, UTC.
        load: Load average of the minute before it started; None if unknown.
        versions: Versions of Python and the relevant packages.
        figures: Measured figures.
    """

    date: str
    load: float | None
    versions: dict[str, str]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Results:
    """All measurements of one machine.

    Attributes:
        machine: Description for the page.
        measurements: Measurements by name, in the order of the table.
    """

    machine: str
    measurements: dict[str, Measurement] = field(default_factory=dict)

    def with_measurement(self, name: str, measurement: Measurement, order: Sequence[str]) -> Results:
        """Return the results with a measurement replaced or added."""
        merged = {**self.measurements, name: measurement}
        return replace(self, measurements={known: merged[known] for known in order if known in merged})

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {
            "machine": self.machine,
            "measurements": {
                name: {
                    "date": one.date,
                    "load": one.load,
                    "versions": one.versions,
                    "figures": [figure.to_dict() for figure in one.figures],
                }
                for name, one in self.measurements.items()
            },
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Results:
        """Create results from `to_dict`."""
        return cls(
            values["machine"],
            {
                name: Measurement(
                    one["date"], one["load"], one["versions"], tuple(Figure.from_dict(f) for f in one["figures"])
                )
                for name, one in values["measurements"].items()
            },
        )


def describe(path: Path) -> str:
    """Return the heading of a results file: the processor model, without anything that identifies the machine."""
    return _TITLES.get(path.name) or _this_machine()


def default_path(measurement: str) -> Path:
    """Return the file for a measurement's results: this processor's, or that of a processor-independent one."""
    here = f"{re.sub(r'[^a-z0-9]+', '-', _this_machine().lower()).strip('-')}.json"
    return FOLDER / _ON_ANY_MACHINE.get(measurement, here)


def _this_machine() -> str:
    from edge_runtime.device.machine import describe_machine

    machine = describe_machine()
    features = f" with {' and '.join(machine.features)}" if machine.features else ""
    return f"{machine.cpu or 'unknown processor'}, {machine.architecture}{features}, {machine.cores} cores"


def record(figures: Sequence[Figure], load: float | None) -> Measurement:
    """Return figures that were just measured, with date and versions."""
    from trainer.environment import package_versions

    return Measurement(datetime.now(timezone.utc).date().isoformat(), load, package_versions(), tuple(figures))


def read(path: Path) -> Results:
    """Read stored results."""
    return Results.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write(results: Results, path: Path) -> None:
    """Write results atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(results.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
