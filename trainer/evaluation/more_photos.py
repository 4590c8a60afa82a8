"""What more photos would bring: how the accuracy of a head grows with the photos that it learns from.

Photos are held out at random, class by class, and a logistic regression on the frozen backbone's features learns from a
quarter, half and all of the others; the mean over several draws. The backbone has seen none of them, so the accuracy is
an honest one, of many more photos than a small test split holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainer.types import Features

_DRAWS = 8
_HELD_OUT = 0.25
_SHARES = (0.25, 0.5, 1.0)
_STRENGTH = 0.03  # inverse, of the L2 penalty; from 0.003 to 10 it made a point of difference on clothing


def accuracy_by_photos(features: Features, *, seed: int) -> tuple[tuple[float, float], ...]:
    """Learns from more and more photos.

    Args:
        features: Of a backbone that was trained on other pictures, two photos of each class at least.
        seed: Of the draws.

    Returns:
        Mean number of photos of a class and accuracy, 0–1, growing; shares that come to the same number once.
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
            answers = model.predict(features.values[held_out])
            right.setdefault(len(chosen) / len(members), []).append(
                float((answers == features.labels[held_out]).mean())
            )
    return tuple((photos, float(np.mean(found))) for photos, found in sorted(right.items()))
