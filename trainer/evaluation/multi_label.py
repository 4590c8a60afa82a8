"""Figures of a model that answers each class by itself, and the score from which it says that a class is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.errors import DatasetError
from trainer.types import ClassMetrics, Evaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class LabelMetrics(ClassMetrics):
    """One class's figures, 0–1 (scikit-learn's).

    Attributes:
        threshold: From this score on it counts as there.
        average_precision: Area under the precision-recall curve; None where no picture shows the class.
        roc_auc: Area under the ROC curve; None where all pictures or none show it.
    """

    threshold: float
    average_precision: float | None
    roc_auc: float | None


@dataclass(frozen=True, kw_only=True)
class MultiLabelEvaluation(Evaluation):
    """A model that is asked of each picture for each class: is it there?

    Each such question is one of the ``count`` answers, picture by picture in the classes' order: ``labels`` and
    ``predicted`` are 1 for yes and 0 for no, ``scores`` are the class's. ``accuracy`` is the share of right answers
    (1 minus the Hamming loss).

    Attributes:
        classes: Per class.
        mean_average_precision: Mean of the classes' average precision (mAP); None where no class occurs.
        subset_accuracy: Share of pictures whose classes are all right, none missing and none too many.
    """

    classes: tuple[LabelMetrics, ...]
    mean_average_precision: float | None
    subset_accuracy: float

    @property
    def pictures(self) -> int:
        """Number of pictures that were asked about."""
        return self.count // len(self.classes)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """From which score on each class counts as there."""
        return tuple(metrics.threshold for metrics in self.classes)

    def by_picture(self, answers: Sequence[Any]) -> NDArray[Any]:
        """``labels``, ``predicted`` or ``scores`` as (pictures, classes)."""
        return np.asarray(answers).reshape(self.pictures, len(self.classes))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: value for name, value in super().to_dict().items() if name != "confusion"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MultiLabelEvaluation:
        """From what `to_dict` gave."""
        tuples = {name: tuple(values[name]) for name in ("labels", "predicted", "scores")}
        classes = tuple(LabelMetrics(**metrics) for metrics in values["classes"])
        return cls(**{**values, **tuples, "classes": classes})


def evaluation_from_scores(
    model: str,
    split: str,
    truth: NDArray[Any],
    scores: NDArray[np.floating[Any]],
    label_names: Sequence[str],
    latency_ms: float,
    kernels: str,
    thresholds: Sequence[float] = (),
) -> MultiLabelEvaluation:
    """Counts a model's answers.

    The macro F1 and the mean average precision are means over the classes that some picture shows.

    Args:
        model: File name.
        split: Name of the split.
        truth: (N, classes), 1 for what is in the picture, else 0.
        scores: (N, classes), 0–1.
        label_names: Of the classes, in index order.
        latency_ms: Median time of inference alone.
        kernels: What ran the model, for the reader.
        thresholds: From which score on a class counts as there; empty: those that serve these pictures best.

    Raises:
        DatasetError: No pictures, or scores of another shape.
    """
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

    if not len(truth) or truth.shape != scores.shape or truth.shape[1] != len(label_names):
        raise DatasetError(
            f"Expected scores of {len(label_names)} classes for at least one picture of {split}, got "
            f"{scores.shape[0]} × {scores.shape[-1]} from {model} for {len(truth)} pictures. "
            "The model's labels are not those of the photos."
        )
    thresholds = tuple(thresholds) or fit_thresholds(truth, scores)
    truth = np.asarray(truth, np.int64)
    predicted = np.asarray(scores >= np.asarray(thresholds), np.int64)
    columns = range(len(label_names))  # one by one: scikit-learn takes a table of one column for something else
    each = [
        precision_recall_fscore_support(truth[:, i], predicted[:, i], pos_label=1, average="binary", zero_division=0)
        for i in columns
    ]
    shown = [i for i in columns if truth[:, i].any()]
    # Both are sums of many parts: rounded, so that what is perfect is 1.
    precisions = {i: round(float(average_precision_score(truth[:, i], scores[:, i])), 9) for i in shown}
    areas = {i: round(float(roc_auc_score(truth[:, i], scores[:, i])), 9) for i in shown if not truth[:, i].all()}
    right = truth == predicted
    return MultiLabelEvaluation(
        model=model,
        split=split,
        count=truth.size,
        accuracy=float(right.mean()),
        macro_f1=float(np.mean([each[i][2] for i in shown])) if shown else 0.0,
        classes=tuple(
            LabelMetrics(
                label=name,
                precision=float(each[i][0]),
                recall=float(each[i][1]),
                f1=float(each[i][2]),
                support=int(truth[:, i].sum()),
                threshold=float(thresholds[i]),
                average_precision=precisions.get(i),
                roc_auc=areas.get(i),
            )
            for i, name in enumerate(label_names)
        ),
        labels=tuple(truth.ravel().tolist()),
        predicted=tuple(predicted.ravel().tolist()),
        scores=tuple(float(score) for score in scores.ravel()),
        latency_ms=float(latency_ms),
        kernels=kernels,
        mean_average_precision=float(np.mean(list(precisions.values()))) if precisions else None,
        subset_accuracy=float(right.all(axis=1).mean()),
    )


def fit_thresholds(truth: NDArray[Any], scores: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """The score of each class from which F1 is greatest; of equal ones, the nearest to 0.5.

    A threshold lies halfway between two scores that occur, where neither rounding nor the next picture tips it. A class
    that no picture shows gets 0.5.

    Args:
        truth: (N, classes), 1 for what is in the picture, else 0.
        scores: (N, classes), 0–1.
    """
    from sklearn.metrics import precision_recall_curve

    thresholds = []
    for shown, column in zip(truth.T, np.asarray(scores, np.float64).T, strict=True):
        if not shown.any():
            thresholds.append(0.5)
            continue
        precision, recall, occurring = precision_recall_curve(shown, column)
        total = precision + recall
        f1 = (2 * precision * recall / np.where(total > 0, total, 1))[:-1]  # the last one is of no threshold
        halfway = (occurring + np.concatenate([[0.0], occurring[:-1]])) / 2
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        thresholds.append(float(halfway[best[np.abs(halfway[best] - 0.5).argmin()]]))
    return tuple(thresholds)


def thresholds_of(evaluation: Evaluation | None) -> tuple[float, ...]:
    """Those that an evaluation was made with; empty where there are none."""
    return evaluation.thresholds if isinstance(evaluation, MultiLabelEvaluation) else ()


def read_evaluation(values: dict[str, Any]) -> Evaluation:
    """An evaluation of either kind from what its ``to_dict`` gave."""
    return (MultiLabelEvaluation if "subset_accuracy" in values else Evaluation).from_dict(values)
