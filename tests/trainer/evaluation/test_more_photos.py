"""What more photos would bring is looked for on features alone."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.evaluation.more_photos import accuracy_by_photos
from trainer.types import Features


def features(per_class: int, spread: float) -> Features:
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(size=(3, 64)), np.repeat(np.arange(3), per_class)
    return Features((centres[labels] + spread * rng.normal(size=(len(labels), 64))).astype(np.float32), labels)


def test_accuracy_grows_with_the_photos_that_are_learned_from() -> None:
    found = accuracy_by_photos(features(40, spread=3.0), seed=0)
    assert [photos for photos, _ in found] == [8, 15, 30]
    assert found[0][1] < found[-1][1] < 1.0
    assert found == accuracy_by_photos(features(40, spread=3.0), seed=0)


@pytest.mark.parametrize("per_class", [2, 4])
def test_a_handful_is_enough(per_class: int) -> None:
    found = accuracy_by_photos(features(per_class, spread=0.1), seed=0)
    assert found[-1] == (per_class - max(1, round(per_class / 4)), 1.0)
