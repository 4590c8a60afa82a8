"""Figures of models that answer each class by itself, held against scikit-learn and against small cases by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, hamming_loss, roc_auc_score

from trainer.config import GateConfig
from trainer.errors import DatasetError
from trainer.evaluation.accuracy_gate import judge
from trainer.evaluation.metrics import agreement
from trainer.evaluation.multi_label import (
    MultiLabelEvaluation,
    evaluation_from_scores,
    fit_thresholds,
    read_evaluation,
)

NAMES = ("cat", "dog", "emu")
HALF = (0.5, 0.5, 0.5)


def drawn(seed: int, count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, (count, 3))
    return truth, np.clip(0.35 * truth + rng.random((count, 3)) * 0.65, 0, 1).astype(np.float32)


def evaluation(truth, scores, thresholds=HALF, model="m.tflite") -> MultiLabelEvaluation:
    return evaluation_from_scores(model, "val", np.array(truth), np.array(scores), NAMES, 1.0, "k", thresholds)


def test_the_figures_are_scikit_learns() -> None:
    truth, scores = drawn(0)
    thresholds = (0.4, 0.5, 0.6)
    found, answers = evaluation(truth, scores, thresholds), scores >= thresholds
    assert (found.pictures, found.count, found.thresholds) == (80, 240, thresholds)
    assert found.accuracy == pytest.approx(1 - hamming_loss(truth, answers))
    assert found.subset_accuracy == pytest.approx(accuracy_score(truth, answers))
    assert found.macro_f1 == pytest.approx(f1_score(truth, answers, average="macro"))
    assert found.mean_average_precision == pytest.approx(average_precision_score(truth, scores))
    assert [m.roc_auc for m in found.classes] == pytest.approx(roc_auc_score(truth, scores, average=None))
    assert [m.support for m in found.classes] == truth.sum(axis=0).tolist()
    assert found.confusion[1, 1] == (truth & answers).sum()


def test_a_class_that_no_picture_shows_says_nothing() -> None:
    found = evaluation([[1, 0, 1], [0, 0, 1]], [[0.9, 0.1, 0.9], [0.2, 0.2, 0.8]])
    assert [m.average_precision for m in found.classes] == [1.0, None, 1.0]
    assert [m.roc_auc for m in found.classes] == [1.0, None, None]
    assert (found.macro_f1, found.mean_average_precision, found.subset_accuracy) == (1.0, 1.0, 1.0)


def f1(truth: np.ndarray, answers: np.ndarray) -> float:
    return float(2 * (truth & answers).sum() / (truth.sum() + answers.sum()))


@pytest.mark.parametrize("seed", range(20))
def test_no_threshold_serves_better_than_the_one_that_is_fitted(seed: int) -> None:
    truth, scores = drawn(seed, count=25)
    for shown, column, threshold in zip(truth.T, scores.T, fit_thresholds(truth, scores), strict=True):
        assert f1(shown, column >= threshold) == pytest.approx(max(f1(shown, column >= other) for other in column))
        assert threshold not in column


def test_thresholds_lie_halfway_and_a_class_without_pictures_gets_a_half() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 0]])
    scores = np.array([[0.9, 0.3], [0.7, 0.4], [0.2, 0.1]])
    assert fit_thresholds(truth, scores) == pytest.approx((0.45, 0.5))


def test_it_survives_json() -> None:
    found = evaluation(*drawn(1))
    assert read_evaluation(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(("count", "classes"), [(0, 3), (4, 2)])
def test_scores_of_another_shape_are_refused(count: int, classes: int) -> None:
    with pytest.raises(DatasetError, match="scores of 3 classes"):
        evaluation(np.zeros((count, 3), int), np.zeros((count, classes)))


class TestGate:
    def test_every_answer_counts(self) -> None:
        truth, scores = drawn(2)
        worse = scores.copy()
        worse[:8, 0] = 1 - truth[:8, 0]
        fp32, int8 = evaluation(truth, scores), evaluation(truth, worse)
        verdict = judge(fp32, int8, GateConfig(max_drop=0.0))
        assert verdict.drop == pytest.approx(100 * (fp32.accuracy - int8.accuracy))
        assert verdict.agreement == agreement(fp32, int8) < 100
        assert "on the val split (80 photos)" in verdict.reasons[0]
        assert judge(fp32, fp32, GateConfig(max_drop=0.0)).passed

    def test_lost_classes_fail_although_nearly_every_answer_is_a_right_no(self) -> None:
        truth = np.zeros((200, 3), int)
        truth[:2, 0] = truth[2:, 1] = truth[2:, 2] = 1
        good = truth * 0.8 + 0.1
        blind = good.copy()
        blind[:2, 0] = 0.1
        verdict = judge(evaluation(truth, good), evaluation(truth, blind), GateConfig())
        assert verdict.drop < 1
        assert not verdict.passed
        assert verdict.reasons[0].startswith("Macro F1 drops by")
        assert verdict.reasons[1] == "INT8 never finds cat on the val split (200 photos), but FP32 does."
