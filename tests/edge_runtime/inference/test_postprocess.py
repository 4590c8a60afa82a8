from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inference.postprocess import Postprocessor, certainty, to_scores, top_categories
from edge_runtime.types import TensorSpec

logits = st.lists(st.floats(-300, 300, width=32), min_size=2, max_size=20)
FLOAT = TensorSpec("float32", (1, 3))


@given(logits)
def test_logits_become_scores_that_sum_to_one_and_keep_their_order(values: list[float]) -> None:
    scores = to_scores(np.array(values, np.float32), FLOAT, "none")
    assert scores.dtype == np.float32
    assert abs(scores.sum() - 1) < 1e-5
    assert (scores >= 0).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(scores[order]) >= 0).all()


def test_logits_become_the_softmax() -> None:
    scores = to_scores(np.array([0.0, math.log(2), math.log(5)], np.float32), FLOAT, "none")
    assert scores == pytest.approx([1 / 8, 2 / 8, 5 / 8])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_scores_that_the_network_made_stay_as_they_are(activation: str) -> None:
    output = np.array([0.25, 0.5, 0.75], np.float32)
    scores = to_scores(output, FLOAT, activation)  # type: ignore[arg-type]
    assert scores.tolist() == [0.25, 0.5, 0.75]
    assert not np.shares_memory(scores, output)


@pytest.mark.parametrize(("dtype", "zero_point"), [("int8", -128), ("uint8", 0)])
def test_stored_integers_become_real_scores(dtype: str, zero_point: int) -> None:
    spec = TensorSpec(dtype, (1, 3), 1 / 256, zero_point)
    stored = (np.array([0, 64, 255]) + zero_point).astype(dtype)
    assert to_scores(stored, spec, "softmax").tolist() == [0.0, 0.25, 255 / 256]


def test_quantized_logits_are_made_real_before_the_softmax() -> None:
    spec = TensorSpec("int8", (1, 2), math.log(2) / 10, 20)
    assert to_scores(np.array([20, 30], np.int8), spec, "none") == pytest.approx([1 / 3, 2 / 3])


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9]), min_size=1, max_size=12), st.integers(1, 15), st.floats(0, 1))
def test_categories_are_the_best_in_order_and_of_equal_ones_the_first(
    values: list[float], top_k: int, threshold: float
) -> None:
    labels = tuple(f"class {i}" for i in range(len(values)))
    scores = np.array(values, np.float32)
    found = top_categories(scores, labels, top_k=top_k, score_threshold=threshold)
    best = sorted(range(len(values)), key=lambda index: (-scores[index], index))[:top_k]
    assert [category.index for category in found] == [index for index in best if float(scores[index]) >= threshold]
    assert all(category.label == labels[category.index] for category in found)
    assert all(category.score == float(scores[category.index]) for category in found)


def test_a_threshold_is_met_by_an_equal_score() -> None:
    scores = np.array([0.25, 0.75], np.float32)
    assert [c.index for c in top_categories(scores, ("a", "b"), top_k=5, score_threshold=0.75)] == [1]
    assert top_categories(scores, ("a", "b"), top_k=1, score_threshold=0.76) == ()


def test_certainty_is_whole_where_one_class_has_all_and_nothing_where_all_have_the_same() -> None:
    scores = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]], np.float32)
    assert certainty(scores) == pytest.approx([1.0, 0.0, 0.5])
    assert certainty(np.array([1.0])) == 1.0


@given(st.lists(st.integers(0, 255), min_size=2, max_size=12))
def test_certainty_of_stored_integers_is_that_of_their_scores(values: list[int]) -> None:
    labels = tuple(map(str, range(len(values))))
    for dtype, zero_point in (("int8", -128), ("uint8", 0)):
        spec = TensorSpec(dtype, (1, len(values)), 1 / 256, zero_point)
        stored = (np.array(values) + zero_point).astype(dtype)
        expected = certainty(to_scores(stored, spec, "softmax"))
        assert Postprocessor(spec, "softmax", labels).certainty(stored) == pytest.approx(expected)
    logits = np.array(values, np.float32) / 50
    spec = TensorSpec("float32", (1, len(values)))
    assert Postprocessor(spec, "none", labels).certainty(logits) == pytest.approx(
        certainty(to_scores(logits, spec, "none"))
    )
