"""Reliability diagram and robustness curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.reports.figures.svg import ACCENT, LINE, MUTED, SETTINGS, page_svg

if TYPE_CHECKING:
    from trainer.evaluation.reliability import ReliabilityBin
    from trainer.types import Robustness

_LOOKS: dict[str, dict[str, Any]] = {
    "fp32": {"color": MUTED, "linewidth": 1.2, "linestyle": (0, (3, 2)), "zorder": 3},
    "int8": {"color": ACCENT, "linewidth": 2, "zorder": 4},
}


def reliability_svg(bins: Mapping[str, Sequence[ReliabilityBin]], quantity: str) -> str:
    """Draw a reliability diagram (Guo et al., 2017): accuracy by score, above a histogram of the scores.

    Args:
        bins: Reliability bins by precision, ``"fp32"``, ``"int8"``; the histogram shows the last one.
        quantity: Label of the vertical axis, such as ``"accuracy"``.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(4.6, 4.2))
        axes = figure.add_axes((0.14, 0.32, 0.84, 0.65))
        below = figure.add_axes((0.14, 0.11, 0.84, 0.17), sharex=axes)
        axes.plot((0, 100), (0, 100), color=LINE, linewidth=1.5)
        for kind, found in bins.items():
            filled = [b for b in found if b.count]
            most = max(b.count for b in filled)
            x, y = [100 * b.score for b in filled], [100 * b.accuracy for b in filled]
            look = _LOOKS[kind]
            axes.plot(x, y, **look)
            # A dot's area shows its share of the predictions.
            axes.scatter(x, y, s=[6 + 60 * b.count / most for b in filled], color=look["color"], zorder=look["zorder"])
        axes.set_ylim(-3, 103)
        axes.set_ylabel(quantity, fontsize=8)
        axes.tick_params(labelbottom=False)
        last = list(bins.values())[-1]
        lows, width = [100 * b.low for b in last], 100 * (last[0].high - last[0].low)
        below.bar(lows, [b.count for b in last], width=0.86 * width, align="edge", color=ACCENT, alpha=0.5)
        below.set_xlim(-1, 103)
        below.set_ylabel("count", fontsize=8)
        below.set_xlabel("score", fontsize=8, labelpad=1)
        below.yaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True, nbins=2))
        below.xaxis.set_major_formatter("{x:g}%")
        axes.yaxis.set_major_formatter("{x:g}%")
        for one in (axes, below):
            one.grid(color=LINE, linewidth=0.6)
            one.set_axisbelow(True)
            one.spines["left"].set_visible(False)
            one.tick_params(length=0)
        return page_svg(figure, "reliability")


def robustness_svg(measured: Mapping[str, Sequence[Robustness]], name: str = "robustness") -> str:
    """Draw accuracy by severity, with a panel for each corruption.

    Args:
        measured: Results by precision, ``"fp32"``, ``"int8"``, from `trainer.evaluation.robustness`.
        name: Prefix of every id in the SVG; unique in the page.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    kinds = list(dict.fromkeys(one.kind for one in next(iter(measured.values())) if one.kind != "none"))
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(9.4, 2.5))
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        figure.subplots_adjust(left=0.055, right=0.995, top=0.88, bottom=0.17, wspace=0.12)
        for axes, kind in zip(panels, kinds, strict=True):
            for model, found in measured.items():
                points = [one for one in found if one.kind in ("none", kind)]
                x, y = [one.severity for one in points], [100 * one.accuracy for one in points]
                axes.plot(x, y, marker="o", ms=3.5, **_LOOKS[model])
            axes.set_title(kind, fontsize=9, color=MUTED, loc="left", pad=4)
            axes.set_xticks(range(4), ["none", "1", "2", "3"])
            axes.set_ylim(-3, 103)
            axes.yaxis.set_major_formatter("{x:g}%")
            axes.grid(axis="y", color=LINE, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.spines["left"].set_visible(False)
            axes.tick_params(length=0)
        return page_svg(figure, name)
