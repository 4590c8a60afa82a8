"""Accuracy against cost, with the Pareto front: numbered points, named by a legend beside the figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trainer.evaluation.pareto import pareto_front
from trainer.reports.figures.svg import ACCENT, HUES, LINE, SETTINGS, page_svg
from trainer.types import Variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Matplotlib's marker, and a matching character for tables.
_BASELINE = ("*", "★")
_MARKERS = {
    "fp32": ("o", "●"),
    "int8": ("s", "■"),
    "float16": ("^", "▲"),
    "dynamic_range": ("D", "◆"),
    "int16": ("v", "▼"),
}
_OTHER = ("P", "✚")

_WIDTH, _HEIGHT = 4.6, 3.5  # inches
_FRAME = (0.12, 0.13, 0.85, 0.83)  # left, bottom, width, height of the axes in the figure
_TICK_STEPS = ((1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), *([n / of for n in range(of, 10 * of)] for of in (1, 2, 10)))
_ROOM = 10.0  # points between the centers of a number and of anything else


@dataclass(frozen=True)
class Look:
    """Appearance of a variant in the scatter plots of a page.

    Attributes:
        number: Label of the point, from 1.
        hue: Color of its network, 1–6; further networks start over.
        marker: Matplotlib's marker of its precision; the baseline has its own.
        glyph: Character of the same shape.
    """

    number: int
    hue: int
    marker: str
    glyph: str


def looks(variants: Sequence[Variant]) -> tuple[Look, ...]:
    """Return the appearance of each variant, in order."""
    networks = list(dict.fromkeys(variant.network for variant in variants))
    return tuple(
        Look(
            number,
            networks.index(variant.network) % len(HUES) + 1,
            *(_BASELINE if variant.baseline else _MARKERS.get(variant.precision, _OTHER)),
        )
        for number, variant in enumerate(variants, 1)
    )


def scatter_svg(variants: Sequence[Variant], cost: Literal["latency_ms", "size_bytes"], split: str) -> str:
    """Draw accuracy against a cost on a logarithmic axis.

    The Pareto front is a staircase, since there is no model between two models. In the shaded area below it, another
    model is at least as cheap and as accurate. A ring marks the models that ship.

    Args:
        variants: The models, at least one.
        cost: Quantity of the cost axis.
        split: Split whose accuracy is shown.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    unit, label = (1, "latency (ms)") if cost == "latency_ms" else (1024, "file size (KiB)")
    costs = [getattr(variant, cost) / unit for variant in variants]
    values = [100 * variant.accuracies[split] for variant in variants]
    low, high = _cost_limits(costs)
    bottom, top = _value_limits(values)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        axes = figure.add_axes(_FRAME)
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(bottom, top)
        axes.xaxis.set_major_locator(FixedLocator(_ticks(low, high)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:,g}")
        # The axis goes on above 100% to leave room for a marker there.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}%" if value <= 100 else "")
        axes.grid(color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", length=0)
        axes.set_xlabel(label, fontsize=8, labelpad=1)
        front = pareto_front(list(zip(costs, values, strict=True)))
        # From the bottom at the cheapest model, and on to the right edge at the best.
        x = [costs[front[0]], *(costs[i] for i in front), high]
        y = [bottom, *(values[i] for i in front), values[front[-1]]]
        axes.fill_between(x, y, bottom, step="post", color=ACCENT, alpha=0.07, linewidth=0)
        axes.plot(x[1:-1], y[1:-1], color=ACCENT, linewidth=1.4, drawstyle="steps-post", zorder=2)
        _draw_points(axes, variants, costs, values)
        return page_svg(figure, cost.replace("_", "-"))


def _draw_points(axes: Axes, variants: Sequence[Variant], costs: Sequence[float], values: Sequence[float]) -> None:
    """Draw markers with their numbers, and a line between the two if they are far apart."""
    to_points = 72 / axes.figure.dpi
    positions = [tuple(to_points * axes.transData.transform(point)) for point in zip(costs, values, strict=True)]
    for look, variant, x, y, offset in zip(
        looks(variants), variants, costs, values, _number_offsets(positions), strict=True
    ):
        hue = HUES[look.hue - 1]
        size = 11 if variant.baseline else 6.5
        axes.plot(x, y, marker=look.marker, ms=size, color=hue, markeredgewidth=0, zorder=4)
        if variant.ships:
            axes.plot(x, y, marker="o", ms=13, markerfacecolor="none", color=hue, markeredgewidth=1.3, zorder=4)
        far = math.hypot(*offset) > 1.5 * _ROOM
        axes.annotate(
            str(look.number),
            (x, y),
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            fontweight="bold",
            color=hue,
            arrowprops={"arrowstyle": "-", "color": hue, "linewidth": 0.6, "shrinkA": 4, "shrinkB": 4} if far else None,
            zorder=5,
        )


def _number_offsets(positions: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Place the number of each point so that it covers neither a marker nor another number.

    Args:
        positions: Positions of the markers, in points (1/72 inch).

    Returns:
        Offsets from the markers: the nearest free place, or the freest if none is free.
    """
    left, bottom = _FRAME[0] * _WIDTH * 72, _FRAME[1] * _HEIGHT * 72
    right, top = left + _FRAME[2] * _WIDTH * 72, bottom + _FRAME[3] * _HEIGHT * 72
    taken = list(positions)
    offsets = []
    for x, y in positions:

        def room(offset: tuple[float, float], x: float = x, y: float = y) -> float:
            """Return the distance from a number here to the nearest other object or the frame."""
            here = x + offset[0], y + offset[1]
            edge = min(here[0] - left, right - here[0], here[1] - bottom, top - here[1]) + _ROOM / 2
            return min(edge, *(math.dist(here, other) for other in taken))

        best = next((offset for offset in _places() if room(offset) >= _ROOM), None) or max(_places(), key=room)
        offsets.append(best)
        taken.append((x + best[0], y + best[1]))
    return offsets


def _places() -> Iterable[tuple[float, float]]:
    """Yield offsets around a marker, from near to far; above first, then right and left, then below."""
    for radius in (13.0, 19.0, 26.0, 34.0):
        for degrees in (90, 45, 135, 0, 180, 315, 225, 270):
            angle = math.radians(degrees)
            yield radius * math.cos(angle), radius * math.sin(angle)


def _cost_limits(costs: Sequence[float]) -> tuple[float, float]:
    """Return the limits of the logarithmic axis, with room beside the points."""
    low, high = min(costs), max(costs)
    room = max((high / low) ** 0.1, 1.15)
    return low / room, high * room


def _value_limits(values: Sequence[float]) -> tuple[float, float]:
    """Return the limits of the accuracy axis in percent, with room beside the points."""
    low, high = min(values), max(values)
    room = max(0.14 * (high - low), 0.5)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers within the limits of a logarithmic axis, as few as give three of them."""
    decades = [10.0**exponent for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    found: list[float] = []
    for steps in _TICK_STEPS:
        found = [tick for decade in decades for step in steps if low <= (tick := decade * step) <= high]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / 6)]  # across a power of ten the finest steps give too many
