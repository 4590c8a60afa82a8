"""Scores that mean what they say, rarer figures, thresholds and worse pictures, against cases counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime import Classifier
from edge_runtime.inference.postprocess import certainty
from tests.support.tiny import TinyModels, build_network, picture
from trainer.evaluation.evaluate import evaluate_pixels
from trainer.evaluation.metrics import evaluation_from_answers
from trainer.evaluation.multi_label import evaluation_from_scores
from trainer.evaluation.quality import bootstrap_interval, measure_quality
from trainer.evaluation.reliability import BINS, calibration_error, calibration_errors, reliability
from trainer.evaluation.robustness import corrupt, measure_robustness
from trainer.evaluation.temperature import fit_temperature, scale_logits
from trainer.evaluation.unknown import fit_unknown, unknown_shares
from trainer.types import Evaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray


def evaluation(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> Evaluation:
    predicted = scores.argmax(axis=1)
    names = [f"class {k}" for k in range(scores.shape[1])]
    return evaluation_from_answers(
        "m.tflite", "val", labels.tolist(), predicted.tolist(), scores.max(axis=1).tolist(), names, 1.0, "", scores
    )


def drawn(count: int = 4000, classes: int = 7, *, temperature: float = 1.0) -> Evaluation:
    """A network whose scores, at a temperature of 1, are the very chances by which the labels were drawn."""
    rng = np.random.default_rng(5)
    logits = 2.5 * rng.normal(size=(count, classes))
    chances = softmax(logits)
    labels = (rng.random((count, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    return evaluation(softmax(logits * temperature).astype(np.float32), labels)


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


class TestQuality:
    def test_is_scikit_learns_where_that_has_it(self) -> None:
        from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

        measured, found = drawn(), measure_quality(drawn())
        assert measured.all_scores is not None
        true, said = measured.labels, measured.predicted
        assert found.weighted_f1 == pytest.approx(f1_score(true, said, average="weighted"))
        assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(true, said))
        assert found.top_k == 5
        assert found.top_k_accuracy == pytest.approx(top_k_accuracy_score(true, measured.all_scores, k=5))
        json.dumps(found.to_dict())

    def test_of_equal_scores_the_lower_index_counts_first_as_on_the_device(self) -> None:
        scores = np.array([[0.9, 0.0, 0.0, 0.0], [0.9, 0.0, 0.0, 0.0]], np.float32)
        assert measure_quality(evaluation(scores, np.array([1, 3]))).top_k_accuracy == 0.5

    def test_brier_score_as_by_hand(self) -> None:
        scores = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]], np.float32)
        expected = ((0.3**2 + 0.2**2 + 0.1**2) + (0.5**2 + 0.7**2 + 0.2**2)) / 2
        assert measure_quality(evaluation(scores, np.array([0, 1]))).brier == pytest.approx(expected)

    def test_without_all_the_scores_the_rest_is_there(self) -> None:
        found = measure_quality(replace(drawn(100), all_scores=None))
        assert (found.top_k, found.top_k_accuracy, found.brier) == (0, None, None)
        assert found.weighted_f1 > 0

    def test_intervals_hold_their_figure_and_come_out_the_same_again(self) -> None:
        measured = drawn(300)
        found = measure_quality(measured)
        for value, (low, high) in (
            (measured.macro_f1, found.macro_f1_interval),
            (found.calibration_error, found.calibration_error_interval),
        ):
            assert low <= value <= high
            assert 0.01 < high - low < 0.2
        assert measure_quality(measured) == found

    def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says(self) -> None:
        values = np.random.default_rng(0).normal(size=400)
        low, high = bootstrap_interval(lambda chosen: values[chosen].mean(axis=1), 400, seed=0)
        assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


class TestReliability:
    def test_calibration_error_as_by_hand(self) -> None:
        right = np.array([[1.0, 0.0, 1.0, 1.0]])
        scores = np.array([[0.61, 0.63, 0.95, 0.99]])
        # Two answers from 0.6 to 0.667, one right; two above 0.933, both right.
        expected = (abs(1 - 1.24) + abs(2 - 1.94)) / 4
        assert calibration_errors(right, scores) == pytest.approx([expected])

    def test_chances_are_calibrated_and_sharpened_ones_are_not(self) -> None:
        assert measure_quality(drawn()).calibration_error < 0.025
        assert measure_quality(drawn(temperature=3.0)).calibration_error > 0.08

    def test_bins_hold_all_answers(self) -> None:
        bins = reliability(drawn(500))
        assert len(bins) == BINS
        assert sum(one.count for one in bins) == 500
        assert all(one.low < one.score <= one.high for one in bins if one.count)


class TestTemperature:
    @pytest.mark.parametrize("sharpened", [0.4, 1.0, 3.0])
    def test_finds_how_much_too_sure_a_network_is(self, sharpened: float) -> None:
        assert fit_temperature(drawn(temperature=sharpened)) == pytest.approx(sharpened, rel=0.06)

    @pytest.mark.parametrize("sharpened", [0.4, 1.0, 3.0])
    def test_finds_how_much_too_sure_a_sigmoid_is(self, sharpened: float) -> None:
        rng = np.random.default_rng(0)
        logits = rng.normal(-1, 2, (4000, 3))
        truth = rng.random((4000, 3)) < 1 / (1 + np.exp(-logits))
        scores = 1 / (1 + np.exp(-sharpened * logits))
        several = evaluation_from_scores("m", "val", truth, scores, ("a", "b", "c"), 1.0, "")
        assert fit_temperature(several) == pytest.approx(sharpened, rel=0.06)
        assert (calibration_error(several) < 0.02) == (sharpened == 1.0)

    def test_is_bounded_where_every_answer_is_right(self) -> None:
        scores = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
        assert fit_temperature(evaluation(scores, np.array([0, 1]))) == 0.1

    def test_scaling_divides_the_logits(self) -> None:
        network = build_network()
        images = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype(np.float32)
        before = np.log(network(images, training=False).numpy())
        scale_logits(network, 0.25)
        after = np.log(network(images, training=False).numpy())
        assert after - after[:, :1] == pytest.approx((before - before[:, :1]) / 0.25, abs=1e-3)


class TestUnknown:
    @pytest.mark.parametrize("keep", [0.5, 0.95, 1.0])
    def test_keeps_as_many_right_answers_as_asked(self, keep: float) -> None:
        measured = drawn()
        threshold = fit_unknown(measured, keep)
        assert threshold is not None
        assert keep <= threshold.kept <= keep + 0.01
        lost, caught = unknown_shares(measured, threshold)
        assert lost == pytest.approx(1 - threshold.kept)
        assert caught is not None
        assert caught > lost or keep == 1

    def test_there_is_none_where_nothing_is_kept_or_nothing_is_right(self) -> None:
        assert fit_unknown(drawn(50), 0.0) is None
        assert fit_unknown(evaluation(np.array([[0.9, 0.1]], np.float32), np.array([1])), 0.95) is None

    def test_the_device_calls_the_same_pictures_unknown(self, tiny_models: TinyModels) -> None:
        pixels = replace(
            tiny_models.pixels, images=tiny_models.pixels.images[:90], labels=tiny_models.pixels.labels[:90]
        )
        for path in (tiny_models.fp32, tiny_models.int8):
            measured = evaluate_pixels(path, pixels, "val")
            threshold = fit_unknown(measured, 0.8)
            assert threshold is not None
            assert measured.all_scores is not None
            with Classifier(path, unknown_threshold=threshold.certainty) as classifier:
                said = [classifier.classify(image, color="rgb").is_unknown for image in pixels.images]
            assert said == (certainty(measured.all_scores) < threshold.certainty).tolist()
            assert 0.1 < np.mean(said) < 0.4


class TestRobustness:
    @pytest.mark.parametrize("kind", ["blur", "noise", "darkness", "jpeg", "rotation"])
    def test_pictures_get_worse_with_severity_and_alike_each_time(self, kind: str) -> None:
        image = picture("red", seed=3, height=64, width=64)
        worse = [corrupt(image, kind, severity, seed=1) for severity in (1, 2, 3)]
        differences = [np.abs(one.astype(int) - image).mean() for one in worse]
        assert 0 < differences[0] < differences[1] < differences[2]
        assert (corrupt(image, kind, 2, seed=1) == worse[1]).all()
        assert all(one.shape == image.shape and one.dtype == np.uint8 for one in worse)

    def test_models_are_measured_on_the_same_pictures(self, tiny_models: TinyModels) -> None:
        files = {"a": tiny_models.int8, "b": tiny_models.int8}
        measured = measure_robustness(files, tiny_models.pixels, photos=24)
        assert measured["a"] == measured["b"]
        assert [one.severity for one in measured["a"]] == [0, *(1, 2, 3) * 5]
        assert measured["a"][0].count == 24
        assert measured["a"][0].accuracy >= 0.9
        assert min(one.accuracy for one in measured["a"]) < measured["a"][0].accuracy
