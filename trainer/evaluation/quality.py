"""Further metrics of a model on a split: confidence intervals, weighted F1, top-k accuracy, calibration."""

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
    """Further metrics of a model on a split. Shares are 0–1, intervals cover 95%.

    Attributes:
        accuracy_interval: Wilson's score interval (Wilson, 1927).
        macro_f1_interval: Bootstrap interval (Efron, 1979).
        weighted_f1: Mean of the classes' F1, weighted by support.
        balanced_accuracy: Mean recall of the classes in the split.
        top_k: 5 with more than 5 classes, 2 with 3 to 5. 0 with fewer, or if only the top-1 scores were kept.
        top_k_accuracy: Share of pictures whose class is among the ``top_k`` best scores; None if ``top_k`` is 0.
        calibration_error: Expected calibration error (ECE), in 15 bins.
        calibration_error_interval: Bootstrap interval.
        brier: Brier score (Brier, 1950), the squared distance of the scores from the truth, 0–2; None if only the top-1
            scores were kept.
        reliability: Predictions binned by score.
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
        """Return a JSON-serializable dict."""
        return asdict(self)


def measure_quality(evaluation: Evaluation, *, seed: int = 0) -> Quality:
    """Compute a model's further metrics, with scikit-learn where it has them.

    Args:
        evaluation: Evaluation of the model; needs ``all_scores`` for the top-k accuracy and the Brier score.
        seed: Random seed of the bootstrap.
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
        # balanced_accuracy_score, without its warning about predicted classes that the split doesn't have.
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
    """Return the 95% percentile interval of the bootstrap (Efron, 1979), widened to include the statistic itself.

    Args:
        statistic: Function of picture indices (samples, count), drawn with replacement, that returns (samples,) values.
        count: Number of pictures.
        seed: Random seed of the draws.
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
    """Return the macro F1 of each sample, (samples,), over the classes that occur, as in `Evaluation.macro_f1`.

    scikit-learn would need a call for each sample and take a hundred times as long.
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
    """Return k and the top-k accuracy, ranking as the device does.

    Of equal scores, common in INT8, the lower index ranks first; scikit-learn ranks the higher one first.
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
