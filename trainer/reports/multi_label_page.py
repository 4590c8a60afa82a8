"""What the report of a model with several labels a photo shows in the place of a confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.reports.figures.svg import HUES, LINE, MUTED, SETTINGS, inline_svg, page_svg
from trainer.reports.report_content import Mistake

if TYPE_CHECKING:
    from trainer.evaluation.multi_label import MultiLabelEvaluation
    from trainer.types import Pixels

_MOST_NAMED = len(HUES)


def multi_label_parts(main: MultiLabelEvaluation, beside: MultiLabelEvaluation | None) -> dict[str, Any]:
    """Values for ``multi_label.html.j2``.

    Args:
        main: Of the model that the page is about.
        beside: Of its baseline on the same pictures.
    """
    rows = [
        {"metrics": metrics, "beside_f1": beside.classes[index].f1 if beside else None}
        for index, metrics in enumerate(main.classes)
    ]
    right = main.by_picture(main.labels) == main.by_picture(main.predicted)
    return {
        "classes": sorted(rows, key=lambda row: (not row["metrics"].support, row["metrics"].f1)),
        "quality_curves": inline_svg(quality_svg(main)),
        "wrong": int((~right.all(axis=1)).sum()),
    }


def quality_svg(evaluation: MultiLabelEvaluation, name: str = "quality") -> str:
    """Precision over recall and true over false positives, as the threshold moves; a dot where it lies.

    The classes with the lowest average precision have colours and names, the others are pale.

    Args:
        evaluation: Of the model and split to show.
        name: Goes before every id in the SVG; unique in the page.
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


def worst_label_mistakes(
    pixels: Pixels, evaluation: MultiLabelEvaluation, fp32: MultiLabelEvaluation | None = None, *, limit: int = 24
) -> tuple[Mistake, ...]:
    """Pictures with a class missing or too many; first those whose wrong answer lies farthest from its threshold.

    Args:
        pixels: The pictures that were measured, in the evaluation's order.
        evaluation: Of the model that the report is about.
        fp32: Of its baseline on the same pictures.
        limit: Most mistakes to return.
    """
    truth, answers, scores = (
        evaluation.by_picture(values) for values in (evaluation.labels, evaluation.predicted, evaluation.scores)
    )
    theirs = fp32.by_picture(fp32.predicted) if fp32 else None
    off = abs(scores - evaluation.thresholds) * (truth != answers)
    wrong = [index for index in range(len(truth)) if (truth[index] != answers[index]).any()]
    wrong.sort(key=lambda index: -off[index].max())

    def names(row: Any) -> str:
        return " + ".join(m.label for m, there in zip(evaluation.classes, row, strict=True) if there) or "nothing"

    return tuple(
        Mistake(
            path=pixels.paths[index],
            label=names(truth[index]),
            answer=names(answers[index]),
            score=float(scores[index, off[index].argmax()]),
            thumbnail=pixels.images[index],
            fp32_answer=names(theirs[index]) if theirs is not None else None,
        )
        for index in wrong[:limit]
    )
