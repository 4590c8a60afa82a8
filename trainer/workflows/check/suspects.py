"""Finds photos that are likely to have a wrong label, after confident learning (Northcutt et al., 2021).

A logistic regression on the frozen backbone's features says, for each photo, how likely each class is; it has learned
from other photos only (cross-validation), with near-duplicates on one side. A class's threshold is the mean likelihood
that its own photos get, so that classes that are hard to tell are judged by what can be had there. A photo is suspected
where another class is likelier than its own by most of that class's threshold. (The paper asks that the other class
alone pass the threshold, which half of its own photos don't: of labels that were made wrong, that finds fewer.)
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
_COMPONENTS = 192  # of the features that are kept
_PENALTIES = (0.003, 0.03, 0.3)  # inverse strengths of the L2 penalty: the more photos and classes, the weaker
_MARGIN = 0.8  # of the threshold
_MIN_PHOTOS = 10  # of a class: with fewer, folds of eight know too little of it


@dataclass(frozen=True)
class Suspect:
    """A photo that is likely to have a wrong label.

    Attributes:
        index: Of the photo.
        suggested: Class index.
        given_likelihood: Of the class that it lies in, 0–1.
        suggested_likelihood: Of the other one.
    """

    index: int
    suggested: int
    given_likelihood: float
    suggested_likelihood: float


def reason_against(labels: Sequence[int], names: Sequence[str]) -> str:
    """Why suspects can't be looked for; empty where they can."""
    counts = Counter(labels)
    few = [name for number, name in enumerate(names) if counts[number] < _MIN_PHOTOS]
    return f"it takes {_MIN_PHOTOS} photos of each class, and {', '.join(few)} has fewer" if few else ""


def find_suspects(
    features: NDArray[np.float32], labels: NDArray[np.int64], groups: Sequence[int], *, seed: int = 0
) -> tuple[list[Suspect], float]:
    """Looks for photos that another class fits better.

    Args:
        features: float32 (N, features), of the frozen backbone.
        labels: int64 (N,), 0 to the number of classes less 1; each class has `reason_against`'s number of photos.
        groups: Of each photo; one group is on one side of each fold.
        seed: Of the folds.

    Returns:
        The suspects, the clearest first, and the accuracy of the likelihoods, 0–1.
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
    """Each photo's likelihoods by a regression that hasn't seen it: (N, classes)."""
    import numpy as np
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.preprocessing import StandardScaler

    # Neither looks at a label, so both may see all photos; with fewer columns the regression takes half the time.
    size = min(_COMPONENTS, *features.shape)
    features = PCA(size, random_state=seed).fit_transform(StandardScaler().fit_transform(features))
    split = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(features, labels, groups)
    folds = list(split)
    best, best_loss = np.zeros((len(labels), int(labels.max()) + 1)), np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last iterations move no photo
        for strength in _PENALTIES:
            likelihoods = np.zeros_like(best)
            for train, held_out in folds:
                model = LogisticRegression(C=strength, max_iter=60, tol=1e-3)
                model.fit(features[train], labels[train])
                likelihoods[np.ix_(held_out, model.classes_)] = model.predict_proba(features[held_out])
            own = likelihoods[np.arange(len(labels)), labels]
            loss = -np.log(np.maximum(own, 1e-6)).mean()
            if loss >= best_loss:  # it has one minimum
                break
            best, best_loss = likelihoods, loss
    return best
