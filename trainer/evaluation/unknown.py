"""When a model should say that it doesn't know: the threshold that the device applies, and what it does to answers."""

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
    """The highest threshold that lets so many of the right answers pass.

    Args:
        evaluation: Of the very file that carries the threshold, on the validation split, with ``all_scores``.
        keep: Share of the right answers, 0–1; 0: no threshold.

    Returns:
        None where nothing is to be kept, or where no answer is right.
    """
    from edge_runtime.inference.postprocess import certainty
    from edge_runtime.model.manifest import UnknownThreshold

    if not keep or evaluation.all_scores is None:
        return None
    sure = np.sort(certainty(evaluation.all_scores[_right(evaluation)]))
    if not len(sure):
        return None
    lost = min(int((1 - keep) * len(sure) + 1e-9), len(sure) - 1)
    # Rounded down, so that a picture on the very edge passes whatever the device rounds.
    least = max(floor(float(sure[lost]) * _DIGITS) / _DIGITS, 0.0)
    return UnknownThreshold(least, float((sure >= least).mean()), len(sure))


def unknown_shares(evaluation: Evaluation, threshold: UnknownThreshold) -> tuple[float | None, float | None]:
    """Shares of the right and of the wrong answers that a threshold calls unknown, 0–1; None where there are none."""
    from edge_runtime.inference.postprocess import certainty

    if evaluation.all_scores is None:
        return None, None
    below, right = certainty(evaluation.all_scores) < threshold.certainty, _right(evaluation)
    of_right, of_wrong = (float(below[chosen].mean()) if chosen.any() else None for chosen in (right, ~right))
    return of_right, of_wrong


def _right(evaluation: Evaluation) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = np.asarray(evaluation.labels) == np.asarray(evaluation.predicted)
    return right
