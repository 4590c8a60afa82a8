"""A measured figure and its target."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any


class MissingInputError(Exception):
    """A prerequisite of a measurement is missing; the message names it."""


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        name: Identifier, ``measurement.detail``.
        what: Description for the table.
        value: Measured value; None if it could not be measured, with the reason in the conditions.
        unit: Unit, such as ``"×"``, ``"ms"``, ``"%"``.
        conditions: Context for judging it: models, threads, absolute times, number of samples.
        low: Lower end of the value's 95% interval; None if it has no interval.
        high: Upper end of the interval.
        at_most: Target; None without an upper limit.
        at_least: Target; None without a lower limit.
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
        """Command that measures the figure."""
        return f"python -m benchmarks {self.name.split('.')[0]}"

    @property
    def target(self) -> str:
        """Target as text; empty without a target."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}{_joined(self.unit)}"
        return f"≥ {self.at_least:g}{_joined(self.unit)}" if self.at_least is not None else ""

    @property
    def met(self) -> str:
        """``"yes"``, ``"no"``, ``"within the interval"`` if it is unclear, or empty without a target."""
        if not self.target or self.value is None:
            return ""
        if self._keeps(self.value):
            return "yes"
        best = self.low if self.at_most is not None else self.high
        return "within the interval" if best is not None and self._keeps(best) else "no"

    @property
    def result(self) -> str:
        """Value with its unit and interval."""
        if self.value is None:
            return "not measured"
        spread = "" if self.low is None or self.high is None else f" ({_digits(self.low)}–{_digits(self.high)})"
        return f"{_digits(self.value)}{_joined(self.unit)}{spread}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {**asdict(self), "target": self.target, "met": self.met, "command": self.command}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Figure:
        """Create a figure from `to_dict`."""
        return cls(**{field.name: values[field.name] for field in fields(cls)})

    def _keeps(self, value: float) -> bool:
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


def _joined(unit: str) -> str:
    return unit if unit in ("×", "%") else f" {unit}"


def _digits(value: float) -> str:
    """Format a value with about three significant digits."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"
