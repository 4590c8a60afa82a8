"""The stored results: one JSON file for each machine, its measurements replaced one by one."""

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
"""Measurements that don't depend on the processor, and their files."""
_TITLES = {
    _ARM_COUNTS: "Emulated processors of Raspberry Pis",
    _ACCURACIES: "Accuracies after training, which a processor changes by rounding alone",
}


@dataclass(frozen=True)
class Measurement:
    """What one measurement gave, and when.

    Attributes:
        date: ISO date, UTC.
        load: Processes that wanted to run before it began, averaged over a minute; None where unknown.
        versions: Of Python and the packages that count.
        figures: Its numbers.
    """

    date: str
    load: float | None
    versions: dict[str, str]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Results:
    """All measurements of one machine.

    Attributes:
        machine: Description, for people.
        measurements: By name, in the order of the table.
    """

    machine: str
    measurements: dict[str, Measurement] = field(default_factory=dict)

    def with_measurement(self, name: str, measurement: Measurement, order: Sequence[str]) -> Results:
        """Replaces or adds a measurement."""
        merged = {**self.measurements, name: measurement}
        return replace(self, measurements={known: merged[known] for known in order if known in merged})

    def to_dict(self) -> dict[str, Any]:
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
    """What a file's results belong to: the processor, by what decides its figures; nothing tells whose it is."""
    return _TITLES.get(path.name) or _this_machine()


def default_path(measurement: str) -> Path:
    """Where results are kept: in this processor's file, but for those that no processor changes."""
    here = f"{re.sub(r'[^a-z0-9]+', '-', _this_machine().lower()).strip('-')}.json"
    return FOLDER / _ON_ANY_MACHINE.get(measurement, here)


def _this_machine() -> str:
    from edge_runtime.device.machine import describe_machine

    machine = describe_machine()
    features = f" with {' and '.join(machine.features)}" if machine.features else ""
    return f"{machine.cpu or 'unknown processor'}, {machine.architecture}{features}, {machine.cores} cores"


def record(figures: Sequence[Figure], load: float | None) -> Measurement:
    """Figures that were just measured, with the date and the versions."""
    from trainer.environment import package_versions

    return Measurement(datetime.now(timezone.utc).date().isoformat(), load, package_versions(), tuple(figures))


def read(path: Path) -> Results:
    """Reads stored results."""
    return Results.from_dict(json.loads(path.read_text(encoding="utf-8")))


def write(results: Results, path: Path) -> None:
    """Writes results, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.write_text(json.dumps(results.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
