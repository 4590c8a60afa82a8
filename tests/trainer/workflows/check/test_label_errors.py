"""Confident learning finds planted wrong labels among features, and is quiet where classes are clear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trainer.workflows.check.label_errors import find_suspects, reason_against


def _clusters(spread: float) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features of three classes, around three centres."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    centres = rng.normal(size=(3, 16))
    return (centres[labels] + rng.normal(size=(120, 16)) * spread).astype(np.float32), labels


def test_clear_classes_have_no_suspects():
    features, labels = _clusters(0.2)
    assert find_suspects(features, labels, range(120)) == ([], 1.0)


def test_planted_labels_are_found_with_the_right_suggestion():
    features, labels = _clusters(0.3)
    given = labels.copy()
    given[[3, 50, 100]] = 2, 0, 1
    suspects, accuracy = find_suspects(features, given, range(120))
    assert {(suspect.index, suspect.suggested) for suspect in suspects} == {(3, 0), (50, 1), (100, 2)}
    assert accuracy == 117 / 120
    gaps = [suspect.given_likelihood - suspect.suggested_likelihood for suspect in suspects]
    assert gaps == sorted(gaps)


def test_copies_can_not_vouch_for_each_other():
    features, labels = _clusters(0.3)
    given = labels.copy()
    copies = [3, 4, 5, 6]
    features[copies] = features[3]
    given[copies] = 2
    groups = [3 if index in copies else index for index in range(120)]
    suspects, _ = find_suspects(features, given, groups)
    assert {suspect.index for suspect in suspects} == set(copies)


def test_classes_need_ten_photos():
    assert reason_against([0] * 10 + [1] * 10, ["a", "b"]) == ""
    assert "10 photos of each class, and there are fewer of b" in reason_against([0] * 10 + [1] * 9, ["a", "b"])
