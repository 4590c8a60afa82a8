"""Metrics of multi-label models, and the score threshold of each class."""

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
    """Metrics of one class, 0–1 (scikit-learn's).

    Attributes:
        threshold: Score from which the class is predicted.
        average_precision: Area under the precision-recall curve; None if no picture shows the class.
        roc_auc: Area under the ROC curve; None if all pictures or none show the class.
    """

    threshold: float
    average_precision: float | None
    roc_auc: float | None


@dataclass(frozen=True, kw_only=True)
class MultiLabelEvaluation(Evaluation):
    """Evaluation of a model that predicts each class on its own.

    Each class of each picture counts as one of the ``count`` predictions, picture by picture in the order of the
    classes: ``labels`` and ``predicted`` are 1 (present) or 0, ``scores`` are the class's scores. ``accuracy`` is the
    share of correct ones (1 minus the Hamming loss).

    Attributes:
        classes: Metrics of each class.
        mean_average_precision: Mean of the classes' average precision (mAP); None if no class occurs.
        subset_accuracy: Share of pictures whose classes are all correct, none missing and none extra.
    """

    classes: tuple[LabelMetrics, ...]
    mean_average_precision: float | None
    subset_accuracy: float

    @property
    def pictures(self) -> int:
        """Number of pictures that were measured."""
        return self.count // len(self.classes)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Score threshold of each class."""
        return tuple(metrics.threshold for metrics in self.classes)

    def by_picture(self, values: Sequence[Any]) -> NDArray[Any]:
        """Reshape ``labels``, ``predicted`` or ``scores`` to (pictures, classes), int64 or float64."""
        return np.asarray(values).reshape(self.pictures, len(self.classes))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable dict."""
        return {name: value for name, value in super().to_dict().items() if name != "confusion"}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> MultiLabelEvaluation:
        """Restore an evaluation from the dict of `to_dict`."""
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
    """Compute a multi-label model's metrics from its scores.

    The macro F1 and the mean average precision are means over the classes that at least one picture shows.

    Args:
        model: File name of the model.
        split: Name of the split.
        truth: Integers (N, classes), 1 if the picture shows the class, else 0.
        scores: float32 or float64 (N, classes), 0–1.
        label_names: Names of the classes, in index order.
        latency_ms: Median inference time in milliseconds.
        kernels: Description of what ran the model, for reports.
        thresholds: Score threshold of each class. Empty: those with the best F1 on these pictures.

    Raises:
        DatasetError: There are no pictures, or the shapes differ.
    """
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

    if not len(truth) or truth.shape != scores.shape or truth.shape[1] != len(label_names):
        raise DatasetError(
            f"Expected scores of {len(label_names)} classes for {len(truth) or 'at least one'} pictures of {split}, "
            f"got {scores.shape[0]} × {scores.shape[-1]} from {model}. Its labels don't match those of the photos."
        )
    thresholds = tuple(thresholds) or fit_thresholds(truth, scores)
    truth = np.asarray(truth, np.int64)
    predicted = np.asarray(scores >= np.asarray(thresholds), np.int64)
    columns = range(len(label_names))  # one by one: scikit-learn reads a one-column table differently
    each = [
        precision_recall_fscore_support(truth[:, i], predicted[:, i], pos_label=1, average="binary", zero_division=0)
        for i in columns
    ]
    shown = [i for i in columns if truth[:, i].any()]
    # Both are sums of many parts; rounding makes a perfect score exactly 1.
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
    """Find the score threshold of each class that maximizes its F1; of equal ones, the nearest to 0.5.

    A threshold lies halfway between two scores that occur, so neither rounding nor the next picture tips it. A class
    that no picture shows gets 0.5.

    Args:
        truth: Integers (N, classes), 1 if the picture shows the class, else 0.
        scores: float32 or float64 (N, classes), 0–1.
    """
    from sklearn.metrics import precision_recall_curve

    thresholds = []
    for shown, column in zip(truth.T, np.asarray(scores, np.float64).T, strict=True):
        if not shown.any():
            thresholds.append(0.5)
            continue
        precision, recall, occurring = precision_recall_curve(shown, column)
        total = precision + recall
        f1 = (2 * precision * recall / np.where(total > 0, total, 1))[:-1]  # the last value has no threshold
        halfway = (occurring + np.concatenate([[0.0], occurring[:-1]])) / 2
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        thresholds.append(float(halfway[best[np.abs(halfway[best] - 0.5).argmin()]]))
    return tuple(thresholds)


def thresholds_of(evaluation: Evaluation | None) -> tuple[float, ...]:
    """Return the thresholds of a multi-label evaluation; empty for any other."""
    return evaluation.thresholds if isinstance(evaluation, MultiLabelEvaluation) else ()


def read_evaluation(values: dict[str, Any]) -> Evaluation:
    """Restore an evaluation of either kind from the dict of its ``to_dict``."""
    return (MultiLabelEvaluation if "subset_accuracy" in values else Evaluation).from_dict(values)
