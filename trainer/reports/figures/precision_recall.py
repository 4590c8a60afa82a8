"""Precision-recall and ROC curves of a multi-label model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.reports.figures.svg import HUES, LINE, MUTED, SETTINGS, page_svg

if TYPE_CHECKING:
    from trainer.evaluation.multi_label import MultiLabelEvaluation

_MOST_NAMED = len(HUES)


def precision_recall_svg(evaluation: MultiLabelEvaluation, name: str = "quality") -> str:
    """Draw precision-recall and ROC curves, with a dot at each class's threshold.

    The classes with the lowest average precision have colors and names, the others are pale.

    Args:
        evaluation: Model and split to show.
        name: Prefix of every id in the SVG; unique in the page.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve, roc_curve

    truth, scores = (evaluation.by_picture(values) for values in (evaluation.labels, evaluation.scores))
    shown = [index for index, metrics in enumerate(evaluation.classes) if 0 < metrics.support < len(truth)]
    shown.sort(key=lambda index: evaluation.classes[index].average_precision or 0.0)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(7.6, 3.5))
        left, right = figure.add_axes((0.07, 0.14, 0.41, 0.78)), figure.add_axes((0.57, 0.14, 0.41, 0.78))
        for rank, index in reversed(list(enumerate(shown))):
            metrics, named = evaluation.classes[index], rank < _MOST_NAMED
            color, width = (HUES[rank], 1.8) if named else (MUTED, 0.6)
            precision, recall, _ = precision_recall_curve(truth[:, index], scores[:, index])
            left.plot(recall, precision, label=metrics.label if named else None, color=color, linewidth=width)
            left.plot([metrics.recall], [metrics.precision], "o", color=color, ms=4)
            false, true, _ = roc_curve(truth[:, index], scores[:, index])
            right.plot(false, true, color=color, linewidth=width)
        right.plot([0, 1], [0, 1], color=LINE, linewidth=0.8)
        for axes, x, y in ((left, "recall", "precision"), (right, "false positive rate", "true positive rate")):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.set_xlabel(x, fontsize=8, labelpad=1)
            axes.set_ylabel(y, fontsize=8, labelpad=2)
            axes.grid(color=LINE, linewidth=0.6)
            axes.set_axisbelow(True)
            axes.tick_params(length=0)
        if shown:
            handles, names = left.get_legend_handles_labels()
            left.legend(handles[::-1], names[::-1], loc="lower left", frameon=False, fontsize=8)
        return page_svg(figure, name)
