"""The figures of an evaluation, against cases counted by hand and laws that hold for any answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.errors import DatasetError
from trainer.evaluation.metrics import (
    accuracy_interval,
    agreement,
    changed_answers,
    evaluation_from_answers,
    right_answers,
)
from trainer.types import Evaluation

NAMES = ("cat", "dog", "emu")


def evaluation(labels, predicted, names=NAMES, split="val", model="m.tflite") -> Evaluation:
    return evaluation_from_answers(model, split, labels, predicted, [0.5] * len(predicted), names, 1.5, "kernels")


@st.composite
def answers(draw, models=1):
    count = draw(st.integers(1, 60))
    column = st.lists(st.integers(0, len(NAMES) - 1), min_size=count, max_size=count)
    return tuple(draw(column) for _ in range(models + 1))


def test_counts_a_small_case_as_by_hand():
    # cat: 2 of 3 found, 1 dog called cat. dog: 1 of 2 found, 1 cat called dog. emu: the one is found.
    result = evaluation([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 2])
    assert result.to_dict()["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert result.count == 6
    assert result.accuracy == pytest.approx(4 / 6)
    cat, dog, emu = result.classes
    assert (cat.label, cat.support) == ("cat", 3)
    assert (cat.precision, cat.recall, cat.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (dog.precision, dog.recall, dog.f1) == pytest.approx((1 / 2, 1 / 2, 1 / 2))
    assert (emu.precision, emu.recall, emu.f1) == pytest.approx((1, 1, 1))
    assert result.macro_f1 == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert (result.latency_ms, result.kernels) == (1.5, "kernels")


def test_a_class_without_pictures_has_a_row_of_zeros_and_no_part_in_the_macro_f1():
    result = evaluation([0, 0, 1, 1], [0, 0, 1, 1])
    assert len(result.classes) == 3
    assert len(result.to_dict()["confusion"]) == 3
    emu = result.classes[2]
    assert (emu.precision, emu.recall, emu.f1, emu.support) == (0, 0, 0, 0)
    assert result.macro_f1 == 1


def test_thousands_of_classes_do_not_cost_their_square():
    names = [f"class {number}" for number in range(3000)]
    result = evaluation(range(3000), [0, *range(2999)], names)
    assert len(json.dumps(result.to_dict())) < 1e6  # the matrix alone would be 9 million cells
    assert result.to_dict()["confusion"] is None
    assert result.confusion[2, 1] == 1
    assert right_answers(result) == 1


def test_a_class_without_pictures_that_was_answered_counts_in_the_macro_f1():
    assert evaluation([0, 0], [0, 2]).macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_holds_plain_numbers_that_survive_json():
    np = pytest.importorskip("numpy")
    result = evaluation_from_answers(
        "m", "test", np.array([0, 1]), np.array([0, 2]), np.array([0.5, 0.25], np.float32), NAMES, np.float64(2), "k"
    )
    assert Evaluation.from_dict(json.loads(json.dumps(result.to_dict()))) == result


@pytest.mark.parametrize(
    ("labels", "predicted", "words"),
    [
        ([], [], "no pictures to measure"),
        ([0, 1], [0], "Expected 2 predictions"),
        ([0, 1], [0, 3], "index 3 from m.tflite"),
    ],
)
def test_answers_that_fit_no_split_are_refused(labels, predicted, words):
    with pytest.raises(DatasetError, match=words):
        evaluation(labels, predicted)


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(answers())
def test_accuracy_is_the_trace_over_the_total(columns):
    result = evaluation(*columns)
    total = sum(result.confusion.values())
    assert total == result.count == sum(metrics.support for metrics in result.classes)
    assert result.accuracy == right_answers(result) / total
    assert 0 <= result.macro_f1 <= 1


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(answers())
def test_interval_holds_the_accuracy_and_stays_a_share(columns):
    result = evaluation(*columns)
    low, high = accuracy_interval(result)
    assert 0 <= low <= result.accuracy <= high <= 1
    assert low < high


def test_interval_is_wilsons():
    # 8 of 10: the textbook's 0.490 to 0.943.
    assert accuracy_interval(evaluation([0] * 10, [0] * 8 + [1] * 2)) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_interval_narrows_with_more_pictures():
    few, many = (accuracy_interval(evaluation([0] * n, [0] * (n * 8 // 10) + [1] * (n * 2 // 10))) for n in (10, 1000))
    assert few[0] < many[0] < 0.8 < many[1] < few[1]


def test_agreement_counts_equal_answers_right_or_wrong():
    a, b = evaluation([0, 0, 1, 2], [0, 1, 1, 0]), evaluation([0, 0, 1, 2], [0, 1, 2, 2])
    assert agreement(a, b) == 50
    assert changed_answers(a, b) == (1, 1)


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(answers(models=2))
def test_agreement_is_symmetric_and_whole_with_itself(columns):
    labels, first, second = columns
    a, b = evaluation(labels, first), evaluation(labels, second)
    assert agreement(a, b) == agreement(b, a)
    assert agreement(a, a) == 100
    assert (agreement(a, b) == 100) == (first == second)


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(answers(models=2))
def test_changed_answers_add_up_to_the_difference_in_right_answers(columns):
    labels, first, second = columns
    a, b = evaluation(labels, first), evaluation(labels, second)
    lost, gained = changed_answers(a, b)
    assert right_answers(a) - right_answers(b) == lost - gained
    assert changed_answers(b, a) == (gained, lost)


def test_models_measured_on_different_pictures_are_not_compared():
    with pytest.raises(DatasetError, match="same pictures"):
        agreement(evaluation([0, 1], [0, 1]), evaluation([1, 0], [0, 1]))
    with pytest.raises(DatasetError, match="same pictures"):
        agreement(evaluation([0, 1], [0, 1]), evaluation([0, 1], [0, 1], split="test"))
