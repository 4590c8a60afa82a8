"""The certainty threshold below which the device reports "unknown", and its effect."""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.model.manifest import UnknownThreshold
    from trainer.types import Evaluation

_DIGITS = 10**4


def fit_unknown(evaluation: Evaluation, keep: float) -> UnknownThreshold | None:
    """Fit the highest certainty threshold that keeps a given share of the correct predictions.

    Args:
        evaluation: Evaluation, with ``all_scores``, of the file that will carry the threshold on the validation split.
        keep: Share of the correct predictions to keep, 0–1; 0 for no threshold.

    Returns:
        The threshold; None if ``keep`` is 0, scores are missing, or no prediction is correct.
    """
    from edge_runtime.inference.postprocess import certainty
    from edge_runtime.model.manifest import UnknownThreshold

    if not keep or evaluation.all_scores is None:
        return None
    sure = np.sort(certainty(evaluation.all_scores[_right(evaluation)]))
    if not len(sure):
        return None
    lost = min(int((1 - keep) * len(sure) + 1e-9), len(sure) - 1)
    # Rounded down, so that a picture on the edge passes however the device rounds.
    least = max(floor(float(sure[lost]) * _DIGITS) / _DIGITS, 0.0)
    return UnknownThreshold(least, float((sure >= least).mean()), len(sure))


def unknown_shares(evaluation: Evaluation, threshold: UnknownThreshold) -> tuple[float | None, float | None]:
    """Return the shares, 0–1, of correct and of wrong predictions below a threshold; None without any."""
    from edge_runtime.inference.postprocess import certainty

    if evaluation.all_scores is None:
        return None, None
    below, right = certainty(evaluation.all_scores) < threshold.certainty, _right(evaluation)
    of_right, of_wrong = (float(below[chosen].mean()) if chosen.any() else None for chosen in (right, ~right))
    return of_right, of_wrong


def _right(evaluation: Evaluation) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = np.asarray(evaluation.labels) == np.asarray(evaluation.predicted)
    return right
