"""The gate: each reason by itself, its exact boundary, and laws that hold for any two models."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config import GateConfig
from trainer.errors import DatasetError
from trainer.evaluation.accuracy_gate import collapsed_class, judge
from trainer.evaluation.metrics import evaluation_from_answers
from trainer.types import Evaluation

NAMES = ("cat", "dog", "emu")
LENIENT = GateConfig(max_drop=100, min_agreement=0)


def evaluation(labels, predicted, model="m.tflite") -> Evaluation:
    return evaluation_from_answers(model, "val", labels, predicted, [0.5] * len(predicted), NAMES, 1.0, "k")


def with_right(right: int, count: int = 100) -> Evaluation:
    """A model with so many right answers; the wrong ones all at the end."""
    labels = [i % 3 for i in range(count)]
    return evaluation(labels, [label if i < right else (label + 1) % 3 for i, label in enumerate(labels)])


@st.composite
def models(draw) -> tuple[Evaluation, Evaluation]:
    count = draw(st.integers(1, 60))
    column = st.lists(st.integers(0, 2), min_size=count, max_size=count)
    labels = draw(column)
    return evaluation(labels, draw(column)), evaluation(labels, draw(column))


def test_int8_as_good_as_fp32_passes():
    verdict = judge(with_right(90), with_right(90), GateConfig())
    assert verdict.passed
    assert (verdict.drop, verdict.agreement, verdict.reasons) == (0, 100, ())


def test_too_large_a_drop_is_told_with_its_numbers():
    verdict = judge(with_right(90), with_right(87), GateConfig(max_drop=1.0))
    assert not verdict.passed
    assert verdict.drop == 3
    (reason,) = verdict.reasons
    assert "3.00 points" in reason
    assert "from 90.00% to 87.00%" in reason
    assert "on the val split (100 photos)" in reason
    assert "the limit is 1." in reason


@pytest.mark.parametrize("count", [100, 300, 700, 900, 1900, 2900])
def test_a_drop_of_exactly_max_drop_passes(count):
    right = count * 9 // 10
    assert judge(with_right(right, count), with_right(right - count // 100, count), GateConfig(max_drop=1.0)).passed
    assert not judge(with_right(right, count), with_right(right - count // 100 - 1, count), GateConfig()).passed


def test_a_drop_that_no_float_can_hold_exactly_passes_at_its_boundary():
    assert judge(with_right(999, 1000), with_right(996, 1000), GateConfig(max_drop=0.3)).passed
    assert not judge(with_right(999, 1000), with_right(995, 1000), GateConfig(max_drop=0.3)).passed


def test_int8_that_gains_passes_with_a_negative_drop():
    verdict = judge(with_right(87), with_right(90), GateConfig(max_drop=0))
    assert verdict.passed
    assert verdict.drop == -3


def test_too_little_agreement_fails_at_equal_accuracy():
    labels = [0] * 50 + [1] * 50
    fp32 = evaluation(labels, [2] * 10 + labels[10:])
    int8 = evaluation(labels, [*labels[:90], *([2] * 10)])
    verdict = judge(fp32, int8, GateConfig(min_agreement=90))
    assert not verdict.passed
    assert verdict.drop == 0
    assert verdict.agreement == 80
    (reason,) = verdict.reasons
    assert "80.00%" in reason
    assert "the minimum is 90%." in reason


def test_agreement_of_exactly_the_minimum_passes():
    labels = [0] * 50 + [1] * 50
    int8 = evaluation(labels, [2] * 10 + labels[10:])
    assert judge(evaluation(labels, labels), int8, GateConfig(max_drop=10, min_agreement=90)).passed


def test_collapse_to_a_class_fails_however_lenient_the_rest():
    labels = [0, 1, 2] * 20
    verdict = judge(evaluation(labels, labels), evaluation(labels, [1] * 60), LENIENT)
    assert not verdict.passed
    (reason,) = verdict.reasons
    assert "collapsed to one class" in reason
    assert "'dog' 60 times" in reason
    assert "FP32 20 times" in reason


def test_every_reason_is_told():
    labels = [0, 1, 2] * 20
    assert len(judge(evaluation(labels, labels), evaluation(labels, [1] * 60), GateConfig()).reasons) == 3


@pytest.mark.parametrize(
    ("fp32", "int8", "collapsed"),
    [
        ([0] * 95 + [1] * 5, [0] * 100, 0),  # the small class is never answered any more
        ([0] * 96 + [1] * 4, [0] * 100, None),  # too few to tell
        ([0] * 85 + [1] * 15, [0] * 92 + [1] * 8, None),  # mostly one class, and under half went over
        ([0] * 85 + [1] * 15, [0] * 93 + [1] * 7, 0),  # more than half went over
        ([0] * 50 + [1] * 50, [0] * 89 + [1] * 11, None),  # badly off, which the drop tells, but two classes live
        ([0] * 100, [0] * 100, None),  # FP32 had one class already
    ],
)
def test_the_rule_of_collapse(fp32, int8, collapsed):
    assert collapsed_class(evaluation(fp32, fp32), evaluation(fp32, int8)) == collapsed


def test_different_pictures_are_not_judged():
    with pytest.raises(DatasetError, match="same pictures"):
        judge(evaluation([0, 1], [0, 1]), evaluation([0, 1, 1], [0, 1, 1]), GateConfig())


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(models(), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.floats(0, 100))
def test_a_stricter_gate_never_passes_what_a_laxer_one_stops(pair, drop_a, drop_b, agreement_a, agreement_b):
    strict = GateConfig(max_drop=min(drop_a, drop_b), min_agreement=max(agreement_a, agreement_b))
    lax = GateConfig(max_drop=max(drop_a, drop_b), min_agreement=min(agreement_a, agreement_b))
    assert judge(*pair, lax).passed or not judge(*pair, strict).passed


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(models())
def test_a_model_always_passes_against_itself(pair):
    assert judge(pair[0], pair[0], GateConfig(max_drop=0, min_agreement=100)).passed


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(models())
def test_reasons_stand_there_exactly_when_it_fails(pair):
    verdict = judge(*pair, GateConfig())
    assert verdict.passed == (not verdict.reasons)


@settings(deadline=None, max_examples=50)  # the first example pays for the imports
@given(models())
def test_mending_an_answer_lowers_the_drop_and_raises_the_agreement(pair):
    fp32, int8 = pair
    predicted = list(int8.predicted)
    broken = [i for i, (t, x, y) in enumerate(zip(fp32.labels, fp32.predicted, predicted, strict=True)) if t == x != y]
    if not broken:
        return
    before = judge(fp32, int8, GateConfig())
    predicted[broken[0]] = fp32.predicted[broken[0]]
    after = judge(fp32, evaluation(fp32.labels, predicted), GateConfig())
    assert after.drop < before.drop
    assert after.agreement > before.agreement


def test_of_few_photos_one_may_be_lost_where_it_is_spared():
    assert not judge(with_right(9, 10), with_right(8, 10), GateConfig()).passed
    assert judge(with_right(9, 10), with_right(8, 10), GateConfig(spare=1)).passed
    (reason, _) = judge(with_right(9, 10), with_right(7, 10), GateConfig(spare=1)).reasons
    assert "the limit is 10." in reason
    assert not judge(with_right(90), with_right(88), GateConfig(spare=1)).passed
