"""Figures of a model on a split, from its answers."""

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
    """Counts a model's answers (scikit-learn's precision_recall_fscore_support).

    Every class has its row, also one without a picture in the split (zeros). The macro F1 is the mean over the classes
    that occur, as true class or as answer, which is scikit-learn's convention: a class that the split doesn't have says
    nothing about the model.

    Args:
        model: File name.
        split: Name of the split.
        labels: (N,) true class indices.
        predicted: (N,) top-1 class indices, in the same order.
        scores: (N,) scores of the top-1 answers, 0–1.
        label_names: Of the classes, in index order.
        latency_ms: Median time of inference alone.
        kernels: What ran the model, for the reader.
        all_scores: float32 (N, classes), where they are kept.

    Raises:
        DatasetError: No pictures, sequences of different lengths, or an index that is no class.
    """
    from sklearn.metrics import precision_recall_fscore_support

    true = tuple(int(index) for index in labels)
    answers = tuple(int(index) for index in predicted)
    count, classes = len(true), range(len(label_names))
    if not count:
        raise DatasetError(f"Expected at least one picture in {split} to measure {model} on, got none.")
    if not count == len(answers) == len(scores):
        raise DatasetError(
            f"Expected as many answers and scores as the {count} pictures of {split}, "
            f"got {len(answers)} and {len(scores)} from {model}."
        )
    # scikit-learn would leave such an answer out without a word, and the accuracy would be too high.
    if strangers := sorted(set(true + answers) - set(classes)):
        raise DatasetError(
            f"Expected class indices from 0 to {len(label_names) - 1}, got {strangers[0]} from {model} on {split}. "
            "The model's labels are not those of the photos."
        )
    precision, recall, f1, support = precision_recall_fscore_support(
        true, answers, labels=list(classes), average=None, zero_division=0
    )
    occurring = sorted(set(true) | set(answers))
    return Evaluation(
        model=model,
        split=split,
        count=count,
        accuracy=sum(t == a for t, a in zip(true, answers, strict=True)) / count,
        macro_f1=math.fsum(float(f1[index]) for index in occurring) / len(occurring),
        classes=tuple(
            ClassMetrics(name, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(label_names)
        ),
        labels=true,
        predicted=answers,
        scores=tuple(float(score) for score in scores),
        latency_ms=float(latency_ms),
        kernels=kernels,
        all_scores=all_scores,
    )


def right_answers(evaluation: Evaluation) -> int:
    """Number of pictures whose top-1 answer is right."""
    return sum(true == answer for true, answer in zip(evaluation.labels, evaluation.predicted, strict=True))


def accuracy_interval(evaluation: Evaluation, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of the accuracy (Wilson, 1927), 0–1: what the number of pictures lets one say."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    n, p = evaluation.count, right_answers(evaluation) / evaluation.count
    centre = p + z * z / (2 * n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # Rounding may leave the ends of a perfect score a hair beside 0, 1 or the score itself.
    low, high = (centre - margin) / (1 + z * z / n), (centre + margin) / (1 + z * z / n)
    return max(0.0, min(low, p)), min(1.0, max(high, p))


def agreement(a: Evaluation, b: Evaluation) -> float:
    """Share of pictures that two models answer alike, right or wrong, in percent.

    Raises:
        DatasetError: They were measured on different pictures.
    """
    require_same_pictures(a, b)
    return 100 * sum(x == y for x, y in zip(a.predicted, b.predicted, strict=True)) / a.count


def changed_answers(before: Evaluation, after: Evaluation) -> tuple[int, int]:
    """Numbers of pictures that only ``before`` has right (lost), and that only ``after`` has right (gained).

    Raises:
        DatasetError: They were measured on different pictures.
    """
    require_same_pictures(before, after)
    answers = list(zip(before.labels, before.predicted, after.predicted, strict=True))
    return sum(t == x != y for t, x, y in answers), sum(t == y != x for t, x, y in answers)


def require_same_pictures(a: Evaluation, b: Evaluation) -> None:
    """Raises a DatasetError unless two evaluations can be compared picture by picture."""
    if a.split != b.split or a.labels != b.labels:
        raise DatasetError(
            f"Expected {a.model} and {b.model} to be measured on the same pictures in the same order, "
            f"got {a.count} of {a.split} and {b.count} of {b.split}. Evaluate both on one split."
        )
