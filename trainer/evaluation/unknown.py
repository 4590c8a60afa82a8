"""When a model should say that it doesn't know: the threshold that the device applies, and what it does to answers.

The measure is the best softmax score (Hendrycks & Gimpel, 2017): it is what a device has in hand with each answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.evaluation.reliability import right_and_scores

if TYPE_CHECKING:
    from edge_runtime.manifest import UnknownThreshold
    from trainer.types import Evaluation


def fit_unknown(evaluation: Evaluation, keep: float) -> UnknownThreshold | None:
    """The highest threshold that lets so many of the right answers pass.

    Args:
        evaluation: Of the very file that carries the threshold, on the validation split.
        keep: Share of the right answers, 0–1; 0: no threshold.

    Returns:
        None where nothing is to be kept, or where no answer is right.
    """
    from edge_runtime.manifest import UnknownThreshold

    right, scores = right_and_scores(evaluation)
    sure = np.sort(scores[right > 0])
    if not keep or not len(sure):
        return None
    least = float(sure[min(int((1 - keep) * len(sure) + 1e-9), len(sure) - 1)])
    return UnknownThreshold(least, float((sure >= least).mean()), len(sure))


def unknown_shares(evaluation: Evaluation, threshold: float) -> tuple[float | None, float | None]:
    """Shares of the right and of the wrong answers that a threshold calls unknown, 0–1; None where there are none."""
    right, scores = right_and_scores(evaluation)
    of_right, of_wrong = (
        float((scores[chosen] < threshold).mean()) if chosen.any() else None for chosen in (right == 1, right == 0)
    )
    return of_right, of_wrong
