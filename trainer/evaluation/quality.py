"""What else there is to say of a model on a split: rarer classes, second guesses, its scores, and how sure we are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.evaluation.metrics import accuracy_interval
from trainer.evaluation.reliability import (
    ReliabilityBin,
    calibration_error,
    calibration_errors,
    reliability,
    right_and_scores,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.types import Evaluation

RESAMPLES = 1000
_MANY_CLASSES = 5
_DRAWS_AT_A_TIME = 1_000_000


@dataclass(frozen=True)
class Quality:
    """Figures of a model on a split. Shares 0–1; intervals hold 95%.

    Attributes:
        accuracy_interval: Wilson's score interval (Wilson, 1927).
        macro_f1_interval: By the bootstrap (Efron, 1979).
        weighted_f1: Mean of the classes' F1, by their pictures.
        balanced_accuracy: Mean of the recalls of the classes that the split has.
        top_k: 5 where there are more than 5 classes; 2 where there are 3 to 5; 0: there are too few, or only the best
            scores were kept.
        top_k_accuracy: Share of pictures whose class is among the best ``top_k``; None where that is 0.
        calibration_error: Expected calibration error (ECE), in 15 bins.
        calibration_error_interval: By the bootstrap.
        brier: Brier score (Brier, 1950): squared distance of the scores from the truth, 0 to 2; None where only the
            best scores were kept.
        reliability: The answers by their score.
    """

    accuracy_interval: tuple[float, float]
    macro_f1_interval: tuple[float, float]
    weighted_f1: float
    balanced_accuracy: float
    top_k: int
    top_k_accuracy: float | None
    calibration_error: float
    calibration_error_interval: tuple[float, float]
    brier: float | None
    reliability: tuple[ReliabilityBin, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure_quality(evaluation: Evaluation, *, seed: int = 0) -> Quality:
    """Computes a model's figures from its answers, by scikit-learn where it has them.

    Args:
        evaluation: With ``all_scores`` for all of them.
        seed: Of the bootstrap.
    """
    from sklearn.metrics import f1_score, recall_score

    labels, predicted = np.asarray(evaluation.labels), np.asarray(evaluation.predicted)
    right, scores = right_and_scores(evaluation)
    k, top_k = _top_k(evaluation)

    def macro_f1s(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        return _macro_f1s(labels[chosen], predicted[chosen], len(evaluation.classes))

    def errors(chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        return calibration_errors(right[chosen], scores[chosen])

    return Quality(
        accuracy_interval=accuracy_interval(evaluation),
        macro_f1_interval=bootstrap_interval(macro_f1s, evaluation.count, seed=seed),
        weighted_f1=float(f1_score(labels, predicted, average="weighted", zero_division=0)),
        # What balanced_accuracy_score gives, without its warning where an answer is a class that the split hasn't.
        balanced_accuracy=float(recall_score(labels, predicted, labels=np.unique(labels), average="macro")),
        top_k=k,
        top_k_accuracy=top_k,
        calibration_error=calibration_error(evaluation),
        calibration_error_interval=bootstrap_interval(errors, evaluation.count, seed=seed),
        brier=_brier(evaluation),
        reliability=reliability(evaluation),
    )


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]], count: int, *, seed: int
) -> tuple[float, float]:
    """Percentile interval of the bootstrap, 95% (Efron, 1979), widened to hold the statistic itself where it doesn't.

    Args:
        statistic: Takes indices of pictures (samples, count), some of them drawn more than once; gives (samples,).
        count: Pictures.
        seed: Of the draws; the same gives the same interval.
    """
    rng = np.random.default_rng(seed)
    at_a_time = max(1, _DRAWS_AT_A_TIME // count)
    values = [
        statistic(rng.integers(count, size=(min(at_a_time, RESAMPLES - done), count)))
        for done in range(0, RESAMPLES, at_a_time)
    ]
    estimate = float(statistic(np.arange(count)[None])[0])
    low, high = np.quantile(np.concatenate(values), (0.025, 0.975))
    return min(float(low), estimate), max(float(high), estimate)


def _macro_f1s(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(samples,) of (samples, N) each, over the classes that occur, as `Evaluation.macro_f1`.

    scikit-learn's takes them one by one, a hundred times as long.
    """
    samples = len(labels)
    offsets = classes * np.arange(samples)[:, None]

    def counts(chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(chosen.ravel(), minlength=classes * samples).reshape(samples, classes)

    right = counts((labels + offsets)[labels == predicted])
    both = counts(labels + offsets) + counts(predicted + offsets)
    f1 = 2 * right / np.maximum(both, 1)  # a class that doesn't occur adds nothing to the sum
    mean: NDArray[np.float64] = f1.sum(axis=1) / (both > 0).sum(axis=1)
    return mean


def _top_k(evaluation: Evaluation) -> tuple[int, float | None]:
    """As the device answers: of equal scores, of which INT8 has many, the lower index first.

    scikit-learn's top_k_accuracy_score has the higher one first.
    """
    classes = len(evaluation.classes)
    if evaluation.all_scores is None or classes < 3:
        return 0, None
    k = 5 if classes > _MANY_CLASSES else 2
    best = np.argsort(-evaluation.all_scores, axis=1, kind="stable")[:, :k]
    return k, float((best == np.asarray(evaluation.labels)[:, None]).any(axis=1).mean())


def _brier(evaluation: Evaluation) -> float | None:
    if evaluation.all_scores is None:
        return None
    truth = np.eye(len(evaluation.classes))[list(evaluation.labels)]
    return float(((evaluation.all_scores - truth) ** 2).sum(axis=1).mean())
