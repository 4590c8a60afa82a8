"""What the arithmetic gives, held against its definition in float64, for any numbers."""

from __future__ import annotations

from itertools import pairwise
from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.inference.postprocess import Postprocessor, certainty, to_scores, top_categories
from edge_runtime.live_loop.decision import Decider, DecisionRules
from edge_runtime.pixels.preprocess import pixel_table
from edge_runtime.types import InputContract, TensorSpec

Quantized = tuple[np.ndarray[Any, Any], TensorSpec, np.ndarray[Any, Any]]

dtypes = st.sampled_from(("int8", "uint8"))
scales = st.floats(2.0**-13, 8.0, width=32)
stored_bytes = st.lists(st.integers(0, 255), min_size=1, max_size=40)


def zero_points(dtype: str) -> st.SearchStrategy[int]:
    return st.integers(-128, 127) if dtype == "int8" else st.integers(0, 255)


def as_stored(values: list[int], dtype: str) -> np.ndarray[Any, Any]:
    return np.array(values, np.uint8).view(dtype)


@st.composite
def quantized(draw: st.DrawFn) -> Quantized:
    """An output as it is stored, its tensor, and the numbers that it stands for in float64."""
    values, dtype, scale = draw(stored_bytes), draw(dtypes), draw(scales)
    zero_point = draw(zero_points(dtype))
    stored = as_stored(values, dtype)
    spec = TensorSpec(dtype, (1, len(values)), scale, zero_point)
    return stored, spec, (stored.astype(np.float64) - zero_point) * scale


@given(quantized())
def test_dequantized_scores_are_scale_times_the_distance_from_the_zero_point(output: Quantized) -> None:
    stored, spec, expected = output
    before = stored.copy()
    assert to_scores(stored, spec, "sigmoid") == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert (stored == before).all()


@given(quantized())
def test_quantized_logits_get_the_softmax_of_float64(output: Quantized) -> None:
    stored, spec, logits = output
    exact = np.exp(logits - logits.max())
    scores = to_scores(stored, spec, "none")
    assert scores == pytest.approx(exact / exact.sum(), rel=2e-4, abs=1e-7)
    assert float(scores.astype(np.float64).sum()) == pytest.approx(1.0, abs=1e-5)
    assert 0 <= scores.min() <= scores.max() <= 1


@given(
    mean=st.floats(0, 255, width=32),
    std=st.floats(1, 255, width=32),
    dtype=dtypes,
    scale=st.floats(2.0**-10, 1.0, width=32),
    data=st.data(),
)
def test_a_quantized_pixel_is_within_half_a_step_or_at_the_end_of_the_range(
    mean: float, std: float, dtype: str, scale: float, data: st.DataObject
) -> None:
    zero_point = data.draw(zero_points(dtype))
    spec = TensorSpec(dtype, (1, 4, 4, 3), scale, zero_point)
    table = pixel_table(InputContract(4, 4, mean=(mean,), std=(std,)), spec).astype(np.float64)
    limits = np.iinfo(dtype)
    real = ((np.arange(256) - mean) / std)[:, None]
    error = real - (table - zero_point) * scale
    # A little more than half: exact halves go up whatever the last bit of the scale.
    assert (np.abs(error[(table > limits.min) & (table < limits.max)]) <= scale * (0.5 + 3e-5)).all()
    assert (error[table == limits.min] <= scale * 0.50003).all()
    assert (error[table == limits.max] >= -scale * 0.50003).all()
    assert (np.diff(table, axis=0) >= 0).all()


@given(values=stored_bytes, dtype=dtypes, top_k=st.integers(1, 45), threshold=st.floats(0, 1), scale=scales)
def test_the_shortcut_by_stored_integers_gives_what_all_scores_give(
    values: list[int], dtype: str, top_k: int, threshold: float, scale: float
) -> None:
    zero_point = -128 if dtype == "int8" else 0
    labels = tuple(f"class {index}" for index in range(len(values)))
    stored, spec = as_stored(values, dtype), TensorSpec(dtype, (1, len(values)), scale, zero_point)
    short = Postprocessor(spec, "softmax", labels)(stored, top_k, threshold)
    scores = (stored.astype(np.float64) - zero_point) * scale
    long = top_categories(scores, labels, top_k=top_k, score_threshold=threshold)  # type: ignore[arg-type]
    assert [category.index for category in short] == [category.index for category in long]
    assert [category.score for category in short] == pytest.approx([category.score for category in long])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30).filter(lambda values: sum(values) > 1e-3))
def test_certainty_is_one_minus_the_share_of_the_greatest_entropy(values: list[float]) -> None:
    shares = np.array(values) / sum(values)
    entropy = -sum(share * np.log(share) for share in shares if share > 0)
    assert float(certainty(shares)) == pytest.approx(1 - entropy / np.log(len(values)), abs=1e-9)
    assert -1e-9 <= float(certainty(shares)) <= 1 + 1e-9


frames = st.lists(
    st.tuples(st.floats(0, 1), st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3)), min_size=1, max_size=40
)


def best_scores(series: list[tuple[float, list[float]]], **rules: Any) -> list[float]:
    """Smoothed scores of the best class after each frame; time steps may be nothing."""
    decider = Decider(("a", "b", "c"), DecisionRules(enter=0.0, leave=0.0, dwell_s=0.0, **rules))
    at, found = 0.0, []
    for step, values in series:
        at += step
        found.append(decider.update(np.array(values, np.float32), at=at).score)
    return found


@given(series=frames, seconds=st.floats(0.01, 5))
def test_the_exponential_mean_is_the_sum_of_its_weights(
    series: list[tuple[float, list[float]]], seconds: float
) -> None:
    """In closed form: each frame's weight is what the later ones leave of it."""
    found = best_scores(series, smoothing="exponential", smoothing_s=seconds)
    times = np.cumsum([step for step, _ in series])
    kept = [1.0, *(exp(-(after - before) / seconds) for before, after in pairwise(times))]
    for count in range(1, len(series) + 1):
        weights = [(1.0 if k == 0 else 1 - kept[k]) * float(np.prod(kept[k + 1 : count])) for k in range(count)]
        assert sum(weights) == pytest.approx(1)
        mean = sum(weight * np.array(values) for weight, (_, values) in zip(weights, series, strict=False))
        assert found[count - 1] == pytest.approx(float(np.max(mean)), abs=2e-5)


@given(series=frames, seconds=st.floats(0, 5))
def test_the_majority_is_the_share_of_the_frames_in_the_window(
    series: list[tuple[float, list[float]]], seconds: float
) -> None:
    found = best_scores(series, smoothing="majority", smoothing_s=seconds)
    at, past = 0.0, []
    for (step, values), score in zip(series, found, strict=True):
        at += step
        past.append((at, int(np.argmax(np.array(values, np.float32))) if any(values) else None))
        window = [leader for time, leader in past if time >= at - seconds]
        assert score == pytest.approx(max(window.count(index) for index in range(3)) / len(window))
