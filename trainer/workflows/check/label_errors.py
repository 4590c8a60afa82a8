"""Finds probable label errors, after confident learning (Northcutt et al., 2021).

A logistic regression on the frozen backbone's features predicts the likelihood of each class for each photo, in a
cross-validation that keeps near-duplicates in one fold. A class's threshold is the mean likelihood of its own photos,
so that hard classes are judged by what is achievable. A photo is suspect if another class is
likelier than its own by 80% of that class's threshold. (The paper only requires the other class to pass its
threshold, which half of its own photos don't; on labels corrupted on purpose, that finds fewer errors.)
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FOLDS = 5
_COMPONENTS = 192  # principal components of the features
_PENALTIES = (0.003, 0.03, 0.3)  # inverse L2 strengths; more photos and classes need a weaker one
_MARGIN = 0.8  # share of the threshold
_MIN_PHOTOS = 10  # per class; folds with fewer than eight learn too little


@dataclass(frozen=True)
class Suspect:
    """Photo with a probable label error.

    Attributes:
        index: Index of the photo.
        suggested: Index of the more likely class.
        given_likelihood: Likelihood of its own class, 0–1.
        suggested_likelihood: Likelihood of the suggested class, 0–1.
    """

    index: int
    suggested: int
    given_likelihood: float
    suggested_likelihood: float


def reason_against(labels: Sequence[int], names: Sequence[str]) -> str:
    """Return why label errors can't be found; empty if they can."""
    counts = Counter(labels)
    few = [name for number, name in enumerate(names) if counts[number] < _MIN_PHOTOS]
    return f"it needs {_MIN_PHOTOS} photos of each class, and there are fewer of {', '.join(few)}" if few else ""


def find_suspects(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[int], *, seed: int = 0
) -> tuple[list[Suspect], float]:
    """Find photos that probably belong to another class.

    Args:
        features: float32 (N, features), from the frozen backbone.
        labels: int64 (N,), class indices from 0, with enough photos of each class (`reason_against`).
        groups: Group of each photo; a group is never split between folds.
        seed: Random seed of the folds.

    Returns:
        The suspects, the most likely errors first, and the accuracy of the predictions, 0–1.
    """
    import numpy as np

    likelihoods = _out_of_fold(features, labels, groups, seed)
    rows = np.arange(len(labels))
    own = likelihoods[rows, labels]
    thresholds = np.array([own[labels == label].mean() for label in range(likelihoods.shape[1])])
    best = likelihoods.argmax(axis=1)
    found = np.flatnonzero((best != labels) & (likelihoods[rows, best] - own >= _MARGIN * thresholds[best]))
    suspects = [
        Suspect(int(i), int(best[i]), round(float(own[i]), 4), round(float(likelihoods[i, best[i]]), 4)) for i in found
    ]
    suspects.sort(key=lambda suspect: suspect.given_likelihood - suspect.suggested_likelihood)
    return suspects, float((likelihoods.argmax(axis=1) == labels).mean())


def _out_of_fold(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[int], seed: int
) -> NDArray[np.float64]:
    """Return each photo's likelihoods (N, classes), from a regression that hasn't seen it."""
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.preprocessing import StandardScaler

    # Neither uses labels, so both may see all photos; fewer columns halve the time of the regression.
    size = min(_COMPONENTS, *features.shape)
    features = PCA(size, random_state=seed).fit_transform(StandardScaler().fit_transform(features))
    split = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(features, labels, groups)
    folds = list(split)
    best, best_loss = np.zeros((len(labels), int(labels.max()) + 1)), np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last iterations change no suspect
        for strength in _PENALTIES:
            likelihoods = np.zeros_like(best)
            for train, held_out in folds:
                model = LogisticRegression(C=strength, max_iter=60, tol=1e-3)
                model.fit(features[train], labels[train])
                likelihoods[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
            own = likelihoods[np.arange(len(labels)), labels]
            loss = -np.log(np.maximum(own, 1e-6)).mean()
            if loss >= best_loss:  # the loss has a single minimum
                break
            best, best_loss = likelihoods, loss
    return best
