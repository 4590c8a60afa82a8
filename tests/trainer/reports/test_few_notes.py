"""A report of few photos says what they are worth."""

from __future__ import annotations

from trainer.evaluation.metrics import evaluation_from_answers
from trainer.reports.few_notes import few_notes
from trainer.types import Evaluation


def measured(count: int) -> Evaluation:
    labels = [number % 2 for number in range(count)]
    answers = [label if number % 5 else 1 - label for number, label in enumerate(labels)]
    return evaluation_from_answers("m.tflite", "test", labels, answers, [0.5] * count, ("cat", "dog"), 1.0, "k")


def test_plenty_of_photos_need_no_words() -> None:
    assert few_notes(measured(500), ()) == ()


def test_few_photos_are_told_with_their_interval_and_what_more_would_bring() -> None:
    wide, more = few_notes(measured(10), ((1.0, 0.481), (2.0, 0.55), (4.0, 0.61)))
    assert "With only 10 test photos, the 95% interval of the accuracy is 49% to 94%." in wide
    assert "Each photo counts for 10.0 points" in wide
    assert "48% with 1, 55% with 2, 61% with 4 photos per class" in more
    assert "Each doubling has brought 6 points so far." in more


def test_a_fine_tuning_that_was_undone_is_told() -> None:
    (undone,) = few_notes(measured(500), (), (0.628, 0.577))
    assert "from 62.8% (head on pretrained features) to 57.7%" in undone
