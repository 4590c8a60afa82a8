"""Metrics of a model on one split, computed from its predictions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

from trainer.errors import DatasetError
from trainer.types import ClassMetrics, Evaluation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def evaluation_from_answers(
    model: str,
    split: str,
    labels: Sequence[int],
    predicted: Sequence[int],
    scores: Sequence[float],
    label_names: Sequence[str],
    latency_ms: float,
    kernels: str,
    all_scores: NDArray[np.float32] | None = None,
) -> Evaluation:
    """Compute a model's metrics from its predictions (scikit-learn's precision_recall_fscore_support).

    Every class gets a row, with zeros if the split has no picture of it. As in scikit-learn, the macro F1 is the mean
    over the classes that occur as a true or a predicted class.

    Args:
        model: File name of the model.
        split: Name of the split.
        labels: True class indices, length N.
        predicted: Top-1 class indices, length N, in the same order.
        scores: Scores of the top-1 predictions, 0–1, length N.
        label_names: Names of the classes, in index order.
        latency_ms: Median inference time in milliseconds.
        kernels: Description of what ran the model, for reports.
        all_scores: Scores of all classes, float32 (N, classes), 0–1; None if they weren't kept.

    Raises:
        DatasetError: There are no pictures, the lengths differ, or an index is out of range.
    """
    from sklearn.metrics import precision_recall_fscore_support

    true = tuple(int(index) for index in labels)
    given = tuple(int(index) for index in predicted)
    count, classes = len(true), range(len(label_names))
    if not count:
        raise DatasetError(f"The {split} split has no pictures to measure {model} on.")
    if not count == len(given) == len(scores):
        raise DatasetError(
            f"Expected {count} predictions and scores for the pictures of {split}, "
            f"got {len(given)} and {len(scores)} from {model}."
        )
    # scikit-learn would silently drop such a prediction, and the accuracy would be too high.
    if outside := sorted(set(true + given) - set(classes)):
        raise DatasetError(
            f"Class index {outside[0]} from {model} on {split} is not within 0 and {len(label_names) - 1}. "
            "The model's labels don't match those of the photos."
        )
    precision, recall, f1, support = precision_recall_fscore_support(
        true, given, labels=list(classes), average=None, zero_division=0
    )
    occurring = sorted(set(true) | set(given))
    return Evaluation(
        model=model,
        split=split,
        count=count,
        accuracy=sum(t == a for t, a in zip(true, given, strict=True)) / count,
        macro_f1=math.fsum(float(f1[index]) for index in occurring) / len(occurring),
        classes=tuple(
            ClassMetrics(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(label_names)
        ),
        labels=true,
        predicted=given,
        scores=tuple(float(score) for score in scores),
        latency_ms=float(latency_ms),
        kernels=kernels,
        all_scores=all_scores,
    )


def right_answers(evaluation: Evaluation) -> int:
    """Return the number of correct top-1 predictions."""
    return sum(true == answer for true, answer in zip(evaluation.labels, evaluation.predicted, strict=True))


def accuracy_interval(evaluation: Evaluation, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of the accuracy (Wilson, 1927), as low and high, 0–1."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n, p = evaluation.count, right_answers(evaluation) / evaluation.count
    center = p + z * z / (2 * n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # Rounding may push the ends of a perfect score slightly past 0, 1 or the score itself.
    low, high = (center - margin) / (1 + z * z / n), (center + margin) / (1 + z * z / n)
    return max(0.0, min(low, p)), min(1.0, max(high, p))


def agreement(a: Evaluation, b: Evaluation) -> float:
    """Return the share of equal predictions of two models, right or wrong, in percent.

    Raises:
        DatasetError: The two were measured on different pictures.
    """
    require_same_pictures(a, b)
    return 100 * sum(x == y for x, y in zip(a.predicted, b.predicted, strict=True)) / a.count


def changed_answers(before: Evaluation, after: Evaluation) -> tuple[int, int]:
    """Count the pictures that only ``before`` gets right (lost) and those that only ``after`` gets right (gained).

    Raises:
        DatasetError: The two were measured on different pictures.
    """
    require_same_pictures(before, after)
    pairs = list(zip(before.labels, before.predicted, after.predicted, strict=True))
    return sum(t == x != y for t, x, y in pairs), sum(t == y != x for t, x, y in pairs)


def require_same_pictures(a: Evaluation, b: Evaluation) -> None:
    """Check that two evaluations can be compared picture by picture.

    Raises:
        DatasetError: They were measured on different pictures, or in another order.
    """
    if a.split != b.split or a.labels != b.labels:
        raise DatasetError(
            f"{a.model} and {b.model} were not measured on the same pictures in the same order "
            f"({a.count} of {a.split}, {b.count} of {b.split}). Evaluate both on one split."
        )
