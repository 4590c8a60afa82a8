"""Postprocessing: from the network's output to scores and categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.types import Activation, Category, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_scores(output: NDArray[Any], tensor: TensorSpec, activation: Activation) -> NDArray[np.float32]:
    """Convert the output tensor to scores.

    Args:
        output: Raw output, shape (classes,): float32, or int8 or uint8 if quantized.
        tensor: Output tensor with its scale and zero point.
        activation: Activation already applied by the network; softmax is applied to logits (``"none"``).

    Returns:
        float32 (classes,), 0–1.
    """
    real = output.astype(np.float32)
    if tensor.is_quantized:
        real -= tensor.zero_point
        real *= tensor.scale
    if activation == "none":
        real -= real.max()
        np.exp(real, out=real)
        real /= real.sum()
    return real


def certainty(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the certainty of scores: 1 if one class has all the probability, 0 if all classes have the same.

    Certainty is 1 minus the entropy of the scores divided by that of a uniform distribution. Out-of-distribution images
    spread the scores over more classes, which the entropy shows and the best score alone does not (compare Liu et al.,
    "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection", 2023).

    Args:
        scores: Scores after softmax, any float dtype, shape (..., classes), 0–1.

    Returns:
        float64, shape (...), 0–1.
    """
    return _certainty(_entropy_terms(scores))


def _entropy_terms(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return s ln s for each score s, with 0 for s = 0."""
    scores = np.asarray(scores, np.float64)
    terms: NDArray[np.float64] = scores * np.log(scores, where=scores > 0, out=np.zeros_like(scores))
    return terms


def _certainty(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    sure: NDArray[np.float64] = 1 + terms.sum(axis=-1) / np.log(max(terms.shape[-1], 2))
    return sure


def top_categories(
    scores: NDArray[np.float32], labels: tuple[str, ...], *, top_k: int, score_threshold: float
) -> tuple[Category, ...]:
    """Return the best classes, best first; equal scores are sorted by index.

    Args:
        scores: float32 (classes,), 0–1.
        labels: Class names, by index.
        top_k: Maximum number of categories, at least 1.
        score_threshold: Minimum score of a category, 0–1.
    """
    best = [int(scores.argmax())] if top_k == 1 else np.argsort(-scores, kind="stable")[:top_k].tolist()
    return tuple(
        Category(index, labels[index], score) for index in best if (score := float(scores[index])) >= score_threshold
    )


class Postprocessor:
    """Converts a model's raw output to categories: a faster equivalent of `to_scores` and `top_categories`.

    Quantized outputs are sorted as integers, and only the best become scores. If the classes have thresholds, only
    those that reach theirs are returned.

    Args:
        tensor: Output tensor with its dtype, shape, scale and zero point.
        activation: Activation already applied by the network.
        labels: Class names, by index.
        thresholds: Score from which each class of a multi-label model counts, 0–1, by index; empty for others.
    """

    def __init__(
        self,
        tensor: TensorSpec,
        activation: Activation,
        labels: tuple[str, ...],
        thresholds: tuple[float, ...] = (),
    ) -> None:
        self._thresholds = np.asarray(thresholds, np.float32) if thresholds else None
        self._tensor, self._activation, self._labels = tensor, activation, labels
        self._integers_order = tensor.is_quantized and activation != "none"
        self._scale, self._zero_point = tensor.scale, tensor.zero_point
        if self._integers_order:
            # All 256 values that an output can hold, indexed by their bits.
            stored = np.arange(256, dtype=np.uint8).view(tensor.dtype)
            self._terms = _entropy_terms(np.maximum(to_scores(stored, tensor, activation), 0))

    def __call__(self, output: NDArray[Any], top_k: int, score_threshold: float) -> tuple[Category, ...]:
        """Return the best classes of a raw output, shape (classes,) in the output tensor's dtype, best first."""
        if self._thresholds is not None:
            scores = to_scores(output, self._tensor, self._activation)
            there = np.flatnonzero(scores >= self._thresholds)
            best = there[np.argsort(-scores[there], kind="stable")[:top_k]].tolist()
            scored = [Category(index, self._labels[index], float(scores[index])) for index in best]
            return tuple(category for category in scored if category.score >= score_threshold)
        if not self._integers_order:
            scores = to_scores(output, self._tensor, self._activation)
            return top_categories(scores, self._labels, top_k=top_k, score_threshold=score_threshold)
        # ~ reverses the order without overflow, unlike -.
        best = [int(output.argmax())] if top_k == 1 else (~output).argsort(kind="stable")[:top_k].tolist()
        categories = []
        for index in best:
            score = (int(output[index]) - self._zero_point) * self._scale
            if score >= score_threshold:
                categories.append(Category(index, self._labels[index], score))
        return tuple(categories)

    def certainty(self, output: NDArray[Any]) -> float:
        """Return the `certainty` of a raw output, shape (classes,) in the output tensor's dtype."""
        if not self._integers_order:
            return float(certainty(to_scores(output, self._tensor, self._activation)))
        return float(_certainty(self._terms[output.view(np.uint8)]))
