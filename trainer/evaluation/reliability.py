"""Whether a score means what it says: of the answers with a score of 0.9, are 90% right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluation.multi_label import MultiLabelEvaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.types import Evaluation

BINS = 15
"""Of equal width, as in Guo et al., "On Calibration of Modern Neural Networks", 2017."""


@dataclass(frozen=True)
class ReliabilityBin:
    """The answers whose scores lie between two values.

    Attributes:
        low: Scores above this, 0–1.
        high: Scores up to this.
        count: Answers.
        score: Their mean score; 0 where there are none.
        accuracy: Share of them that is right; 0 where there are none.
    """

    low: float
    high: float
    count: int
    score: float
    accuracy: float


def reliability(evaluation: Evaluation) -> tuple[ReliabilityBin, ...]:
    """A model's answers by their score, in `BINS` bins: the numbers of a reliability diagram."""
    right, scores = right_and_scores(evaluation)
    bins = score_bins(scores)
    count, hits, total = (np.bincount(bins, weights, minlength=BINS) for weights in (None, right, scores))
    filled = np.maximum(count, 1)
    return tuple(
        ReliabilityBin(k / BINS, (k + 1) / BINS, int(count[k]), float(total[k] / filled[k]), float(hits[k] / filled[k]))
        for k in range(BINS)
    )


def calibration_error(evaluation: Evaluation) -> float:
    """A model's expected calibration error, 0–1: `calibration_errors` of all its answers."""
    right, scores = right_and_scores(evaluation)
    return float(calibration_errors(right[None], scores[None])[0])


def calibration_errors(right: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Expected calibration error: how far score and accuracy lie apart, as the mean over the answers, 0–1.

    Guo et al., 2017, equation 3. Chance alone makes it larger than it is, the more so the fewer pictures there are
    (Kumar et al., "Verified Uncertainty Calibration", 2019).

    Args:
        right: (samples, N) 1 where the answer is right, else 0.
        scores: (samples, N) of the answers, 0–1.

    Returns:
        (samples,) of each sample of answers.
    """
    samples, count = right.shape
    cells = score_bins(scores) + BINS * np.arange(samples)[:, None]
    gaps = np.bincount(cells.ravel(), (right - scores).ravel(), minlength=BINS * samples)
    error: NDArray[np.float64] = np.abs(gaps).reshape(samples, BINS).sum(axis=1) / count
    return error


def right_and_scores(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(N,) 1 where what has the score is true, else 0; and (N,) the score, 0–1.

    What has it is the top-1 answer; or with several labels a photo, of each class of each photo, that it is there.
    """
    if isinstance(evaluation, MultiLabelEvaluation):
        return np.asarray(evaluation.labels, np.float64), np.asarray(evaluation.scores, np.float64)
    right = np.asarray(evaluation.labels) == np.asarray(evaluation.predicted)
    return right.astype(np.float64), np.asarray(evaluation.scores, np.float64)


def score_bins(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """The bin of each score; a bin holds its upper end."""
    bins: NDArray[np.int64] = np.clip(np.ceil(scores * BINS) - 1, 0, BINS - 1).astype(np.int64)
    return bins
