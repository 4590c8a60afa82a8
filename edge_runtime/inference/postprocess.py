"""From the network's output to scores and categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.types import Activation, Category, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def to_scores(output: NDArray[Any], tensor: TensorSpec, activation: Activation) -> NDArray[np.float32]:
    """Turns the output tensor into scores.

    Args:
        output: (classes,) as stored: integers of a quantized model.
        tensor: The output tensor's scale and zero point.
        activation: What the network already applied; logits (``"none"``) get a softmax here.

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
    """How far the scores are from undecided: 1 where one class has all, 0 where all classes have the same.

    1 minus the entropy of the scores over that of equal scores. Pictures of what a network never learned get scores
    that are spread over more classes, which the entropy sees and the best score alone doesn't (compare Liu et al.,
    "GEN: Pushing the Limits of Softmax-Based Out-of-Distribution Detection", 2023).

    Args:
        scores: (..., classes), 0–1, after softmax.

    Returns:
        (...), 0–1.
    """
    return _certainty(_entropy_terms(scores))


def _entropy_terms(scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """s ln s of each score; 0 for 0."""
    scores = np.asarray(scores, np.float64)
    terms: NDArray[np.float64] = scores * np.log(scores, where=scores > 0, out=np.zeros_like(scores))
    return terms


def _certainty(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    sure: NDArray[np.float64] = 1 + terms.sum(axis=-1) / np.log(max(terms.shape[-1], 2))
    return sure


def top_categories(
    scores: NDArray[np.float32], labels: tuple[str, ...], *, top_k: int, score_threshold: float
) -> tuple[Category, ...]:
    """The best classes, best first; of equal scores, the lower index first.

    Args:
        scores: float32 (classes,).
        labels: One for each score.
        top_k: How many at most.
        score_threshold: The least score that is kept, 0–1.
    """
    best = [int(scores.argmax())] if top_k == 1 else np.argsort(-scores, kind="stable")[:top_k].tolist()
    return tuple(
        Category(index, labels[index], score) for index in best if (score := float(scores[index])) >= score_threshold
    )


class Postprocessor:
    """From one model's output to categories: what `to_scores` and `top_categories` give.

    Where the stored integers already order the classes, only the best of them become scores. Where each class has a
    threshold of its own, only those that reach theirs are given.
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
            # Each value that an output may hold, by its bits.
            stored = np.arange(256, dtype=np.uint8).view(tensor.dtype)
            self._terms = _entropy_terms(np.maximum(to_scores(stored, tensor, activation), 0))

    def __call__(self, output: NDArray[Any], top_k: int, score_threshold: float) -> tuple[Category, ...]:
        """The categories of an output, (classes,) as stored; see `top_categories`."""
        if self._thresholds is not None:
            scores = to_scores(output, self._tensor, self._activation)
            there = np.flatnonzero(scores >= self._thresholds)
            best = there[np.argsort(-scores[there], kind="stable")[:top_k]].tolist()
            scored = [Category(index, self._labels[index], float(scores[index])) for index in best]
            return tuple(category for category in scored if category.score >= score_threshold)
        if not self._integers_order:
            scores = to_scores(output, self._tensor, self._activation)
            return top_categories(scores, self._labels, top_k=top_k, score_threshold=score_threshold)
        # ~ turns the order round and can't overflow, as - could.
        best = [int(output.argmax())] if top_k == 1 else (~output).argsort(kind="stable")[:top_k].tolist()
        categories = []
        for index in best:
            score = (int(output[index]) - self._zero_point) * self._scale
            if score >= score_threshold:
                categories.append(Category(index, self._labels[index], score))
        return tuple(categories)

    def certainty(self, output: NDArray[Any]) -> float:
        """What the function of this name gives for an output, (classes,) as stored."""
        if not self._integers_order:
            return float(certainty(to_scores(output, self._tensor, self._activation)))
        return float(_certainty(self._terms[output.view(np.uint8)]))
