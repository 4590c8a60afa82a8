"""Learning curve over the number of photos: how much more accuracy would more photos bring?

In each of several random draws, a quarter of each class's photos is held out, and a logistic regression on the frozen
backbone's features learns from a quarter, half and all of the rest. The backbone has seen none of the photos, so the
mean accuracy is unbiased, and it rests on far more photos than a small test split has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainer.types import Features

_DRAWS = 8
_HELD_OUT = 0.25
_SHARES = (0.25, 0.5, 1.0)
_STRENGTH = 0.03  # inverse L2 penalty; 0.003 to 10 differ by a point on the clothing data set


def accuracy_by_photos(features: Features, *, seed: int) -> tuple[tuple[float, float], ...]:
    """Measure the accuracy of a head that learns from more and more photos.

    Args:
        features: Features from a backbone that wasn't trained on these photos, with at least two photos per class.
        seed: Random seed of the draws.

    Returns:
        Mean number of photos per class and accuracy (0–1), by rising number; equal numbers appear once.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(features.labels == label) for label in np.unique(features.labels)]
    right: dict[float, list[float]] = {}
    for _ in range(_DRAWS):
        shuffled = [rng.permutation(one) for one in members]
        counts = [max(1, round(_HELD_OUT * len(one))) for one in members]
        held_out = np.concatenate([one[:count] for one, count in zip(shuffled, counts, strict=True)])
        rest = [one[count:] for one, count in zip(shuffled, counts, strict=True)]
        for share in _SHARES:
            chosen = np.concatenate([one[: max(1, round(share * len(one)))] for one in rest])
            model = LogisticRegression(C=_STRENGTH, max_iter=100, tol=1e-3)
            model.fit(features.values[chosen], features.labels[chosen])
            predicted = model.predict(features.values[held_out])
            right.setdefault(len(chosen) / len(members), []).append(
                float((predicted == features.labels[held_out]).mean())
            )
    return tuple((photos, float(np.mean(found))) for photos, found in sorted(right.items()))
