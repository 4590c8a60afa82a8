"""Figures of the report, as inline SVG.

Matplotlib draws them in placeholder colors, which become the page's CSS variables, so that a figure follows the page
into dark mode. Text stays text: it uses the page's font, can be searched and selected, and is escaped by Matplotlib.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from trainer.types import Epoch, Evaluation

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

# Placeholder color → CSS variable of the page. Nothing else in a figure has these colors.
INK, MUTED, LINE, ACCENT, RIGHT, WRONG = "#010203", "#010204", "#010205", "#010206", "#010207", "#010208"
HUES = ("#010209", "#01020a", "#01020b", "#01020c", "#01020d", "#01020e")  # categorical
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    ACCENT: "--accent",
    RIGHT: "--right",
    WRONG: "--wrong",
    **{hue: f"--hue-{number}" for number, hue in enumerate(HUES, 1)},
}

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "edge",  # the same figure gives the same bytes
    "font.size": 9.0,
    "text.parse_math": False,  # a label may hold dollar signs
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def confusion_svg(evaluation: Evaluation, name: str = "confusion") -> str:
    """Draw the confusion matrix with counts: a row for each true class, colored by share of the row.

    Correct and wrong predictions have different hues. Opacity grows with the square root of the share, so that a few
    mistakes among hundreds of correct predictions stay visible.

    Args:
        evaluation: Model and split to show.
        name: Prefix of every id in the SVG; unique in the page.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    labels = [_short(metrics.label) for metrics in evaluation.classes]
    classes = len(labels)
    cell = min(0.7, max(0.27, 5.0 / classes))  # inches
    size = 9.0 if cell > 0.4 else 7.0
    with mpl.rc_context(SETTINGS):
        # Room for the longest label, at the left and, rotated, at the top.
        margin = 0.35 + 0.066 * max(len(label) for label in labels) * size / 9
        side = cell * classes
        width, height = margin + side + 0.05, margin + side + 0.05
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((margin / width, 0.05 / height, side / width, side / height))
        for (true, predicted), count in sorted(evaluation.confusion.items()):
            strength = math.sqrt(count / evaluation.classes[true].support)
            color = RIGHT if true == predicted else WRONG
            axes.add_patch(Rectangle((predicted - 0.5, true - 0.5), 1, 1, color=color, alpha=strength, linewidth=0))
            dark = strength > 0.75
            axes.text(
                predicted,
                true,
                str(count),
                ha="center",
                va="center",
                fontsize=size if count < 1000 else size - 2,
                color="#ffffff" if dark else INK,
            )
        axes.set_xlim(-0.5, classes - 0.5)
        axes.set_ylim(classes - 0.5, -0.5)
        axes.set_xticks(range(classes), labels, rotation=90, fontsize=size)
        axes.set_yticks(range(classes), labels, fontsize=size)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted class", fontsize=size)
        axes.set_ylabel("true class", fontsize=size)
        axes.set_xticks([edge - 0.5 for edge in range(classes + 1)], minor=True)
        axes.set_yticks([edge - 0.5 for edge in range(classes + 1)], minor=True)
        axes.grid(which="minor", color=LINE, linewidth=0.6)
        axes.tick_params(which="both", length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return page_svg(figure, name)


def curve_svg(history: Sequence[Epoch], quantity: Literal["accuracy", "loss"], name: str | None = None) -> str:
    """Draw a learning curve over all stages of training: validation strong, training pale, a line between stages.

    Args:
        history: Epochs in the order of training, at least one.
        quantity: Metric to show.
        name: Prefix of every id in the SVG; unique in the page. Default: the metric.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    factor = 100 if quantity == "accuracy" else 1
    train = [factor * getattr(epoch, quantity) for epoch in history]
    val = [factor * getattr(epoch, f"val_{quantity}") for epoch in history]
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(4.6, 2.9))
        axes = figure.add_axes((0.12, 0.14, 0.86, 0.74))
        for start, stop in _stage_bounds(history):
            epochs = range(start + 1, stop + 1)
            # Curves break between stages, which train other layers or with another loss.
            few = "o" if stop - start < 4 else None
            axes.plot(epochs, train[start:stop], color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)), marker=few, ms=3)
            axes.plot(epochs, val[start:stop], color=ACCENT, linewidth=2, marker=few, ms=4)
            if start:
                axes.axvline(start + 0.5, color=LINE, linewidth=1)
            axes.text(
                start + 0.5 + 0.01 * len(history),
                1.0,
                history[start].stage,
                transform=axes.get_xaxis_transform(),
                fontsize=8,
                color=MUTED,
                va="bottom",
            )
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
        if quantity == "accuracy":
            axes.yaxis.set_major_formatter("{x:g}%")
        elif any(math.isfinite(value) for value in train + val):
            axes.set_ylim(bottom=0)
        axes.grid(axis="y", color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xlabel("epoch", fontsize=8, labelpad=1)
        return page_svg(figure, name or quantity)


def _stage_bounds(history: Sequence[Epoch]) -> list[tuple[int, int]]:
    """Return start and stop index of each stage."""
    starts = [i for i, epoch in enumerate(history) if i == 0 or epoch.stage != history[i - 1].stage]
    return list(zip(starts, [*starts[1:], len(history)], strict=True))


def _short(label: str, longest: int = 22) -> str:
    # A line break or an invisible character would break the axis.
    label = "".join(character if character.isprintable() else " " for character in label)
    return label if len(label) <= longest else label[: longest - 1] + "…"


def inline_svg(svg: str) -> Markup:
    """Mark an SVG from `page_svg` as safe for the template."""
    from markupsafe import Markup

    return Markup(svg)  # nosec B704 # Matplotlib has escaped the labels


def page_svg(figure: Figure, name: str) -> str:
    """Return the figure as an ``<svg>`` element that the page scales, without any URL in it."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The browser draws the text, so glyphs missing from Matplotlib's font don't matter.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph")
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    # Only tags are changed; the user's labels stand between them.
    return re.sub(r"<[^>]+>", lambda match: _page_tag(match[0], name), text)


def _page_tag(tag: str, name: str) -> str:
    """Return a tag with the page's font and colors, prefixed ids, and no namespaces, which HTML implies."""
    tag = re.sub(r' xmlns(:\w+)?="[^"]*"', "", tag)
    tag = re.sub(r"font: (?:[^;\"]*? )??([\d.]+px)[^;\"]*", r"font-size: \1", tag)
    tag = re.sub(r"font-family: [^;\"]*;? ?", "", tag)
    for color, variable in _VARIABLES.items():
        tag = tag.replace(color, f"var({variable})")
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", tag)
