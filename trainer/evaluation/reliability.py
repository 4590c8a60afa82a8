"""Calibration: are 90% of the predictions with a score of 0.9 correct?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluation.multi_label import MultiLabelEvaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.types import Evaluation

BINS = 15
"""Number of bins of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose scores lie within one bin.

    Attributes:
        low: Lower bound of the scores, exclusive, 0–1.
        high: Upper bound of the scores, inclusive, 0–1.
        count: Number of predictions.
        score: Mean score; 0 in an empty bin.
        accuracy: Share of correct predictions; 0 in an empty bin.
    """

    low: float
    high: float
    count: int
    score: float
    accuracy: float


def reliability(evaluation: Evaluation) -> tuple[ReliabilityBin, ...]:
    """Bin a model's predictions by score into `BINS` bins, the values of a reliability diagram."""
    right, scores = right_and_scores(evaluation)
    bins = score_bins(scores)
    count, hits, total = (np.bincount(bins, weights, minlength=BINS) for weights in (None, right, scores))
    filled = np.maximum(count, 1)
    return tuple(
        ReliabilityBin(k / BINS, (k + 1) / BINS, int(count[k]), float(total[k] / filled[k]), float(hits[k] / filled[k]))
        for k in range(BINS)
    )


def calibration_error(evaluation: Evaluation) -> float:
    """Return a model's expected calibration error (ECE), 0–1."""
    right, scores = right_and_scores(evaluation)
    return float(calibration_errors(right[None], scores[None])[0])


def calibration_errors(right: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the expected calibration error (ECE): the mean distance between score and accuracy, 0–1.

    Guo et al., 2017, equation 3. Chance inflates it, more so with fewer pictures (Kumar et al., "Verified Uncertainty
    Calibration", 2019).

    Args:
        right: float64 (samples, N), 1 if the prediction is correct, else 0.
        scores: float64 (samples, N), scores of the predictions, 0–1.

    Returns:
        float64 (samples,), the error of each sample of predictions.
    """
    samples, count = right.shape
    cells = score_bins(scores) + BINS * np.arange(samples)[:, None]
    gaps = np.bincount(cells.ravel(), (right - scores).ravel(), minlength=BINS * samples)
    error: NDArray[np.float64] = np.abs(gaps).reshape(samples, BINS).sum(axis=1) / count
    return error


def right_and_scores(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return whether each prediction is correct, float64 (N,) of 0 and 1, and its score, float64 (N,), 0–1.

    In a multi-label evaluation a score predicts that a class is present, for each class of each picture.
    """
    if isinstance(evaluation, MultiLabelEvaluation):
        return np.asarray(evaluation.labels, np.float64), np.asarray(evaluation.scores, np.float64)
    right = np.asarray(evaluation.labels) == np.asarray(evaluation.predicted)
    return right.astype(np.float64), np.asarray(evaluation.scores, np.float64)


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each score, int64 of any shape, from float64 0–1; a bin includes its upper bound."""
    bins: NDArray[np.int64] = np.clip(np.ceil(scores * BINS) - 1, 0, BINS - 1).astype(np.int64)
    return bins
