"""One measured number and what it has to be."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


class MissingInputError(Exception):
    """Something that a measurement needs isn't here; the message says what."""


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        name: ``measurement.detail``.
        what: What was measured, for the table.
        value: The number; None: it couldn't be measured, and the conditions say why.
        unit: Such as ``"×"``, ``"ms"``, ``"%"``.
        conditions: What a reader must know to judge it: models, threads, absolute times, how many.
        low: Lower end of the value's 95% interval; None where it has none.
        high: The upper end.
        at_most: Target; None: none.
        at_least: Target; None: none.
    """

    name: str
    what: str
    value: float | None
    unit: str
    conditions: str
    low: float | None = None
    high: float | None = None
    at_most: float | None = None
    at_least: float | None = None

    @property
    def command(self) -> str:
        """What measures it."""
        return f"python -m benchmarks {self.name.split('.')[0]}"

    @property
    def target(self) -> str:
        """In words; empty where there is none."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}{_joined(self.unit)}"
        return f"≥ {self.at_least:g}{_joined(self.unit)}" if self.at_least is not None else ""

    @property
    def met(self) -> str:
        """``"yes"``, ``"no"``, ``"within the interval"`` where the measurement can't tell, or empty without target."""
        if not self.target or self.value is None:
            return ""
        if self._keeps(self.value):
            return "yes"
        best = self.low if self.at_most is not None else self.high
        return "within the interval" if best is not None and self._keeps(best) else "no"

    @property
    def result(self) -> str:
        """The value with its interval."""
        if self.value is None:
            return "not measured"
        spread = "" if self.low is None or self.high is None else f" ({_digits(self.low)}–{_digits(self.high)})"
        return f"{_digits(self.value)}{_joined(self.unit)}{spread}"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "target": self.target, "met": self.met, "command": self.command}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Figure:
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def _keeps(self, value: float) -> bool:
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


def _joined(unit: str) -> str:
    return unit if unit in ("×", "%") else f" {unit}"


def _digits(value: float) -> str:
    """Three digits that count, as far as they do."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
