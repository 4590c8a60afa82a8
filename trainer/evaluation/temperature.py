"""Temperature scaling: one number that makes a network's scores mean what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.evaluation.multi_label import MultiLabelEvaluation
from trainer.training.networks.backbones import HEAD_LAYER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.types import Evaluation

_LEAST, _MOST = 0.1, 10.0
_STEPS = 40


def fit_temperature(evaluation: Evaluation) -> float:
    """The temperature that makes the right answers of a split most likely (Guo et al., 2017, section 4.2).

    The logits are to be divided by it; which class is best, or whether a sigmoid says rather yes than no, doesn't
    change. It is kept from 0.1 to 10: where all the answers are right, no temperature would be too low.

    Args:
        evaluation: Of a float network, on the validation split.

    Returns:
        The temperature; 1 where there were so many classes that not all of their scores were kept.
    """
    if isinstance(evaluation, MultiLabelEvaluation):
        # A sigmoid is the softmax of its logit and 0.
        there = np.asarray(evaluation.scores, np.float64)
        all_scores, labels = np.stack([1 - there, there], axis=1), np.asarray(evaluation.labels)
    elif evaluation.all_scores is None:
        return 1.0
    else:
        all_scores, labels = evaluation.all_scores.astype(np.float64), np.asarray(evaluation.labels)
    # Up to a constant for each picture, which softmax takes out again, these are the logits.
    logits = np.log(np.maximum(all_scores, np.finfo(np.float32).tiny))
    # The likelihood is concave in 1/T, so its slope is 0 once: halve the range of log T around there.
    low, high = np.log(_LEAST), np.log(_MOST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _too_sure(logits, labels, np.exp(middle)) else (low, middle)
    return round(float(np.exp((low + high) / 2)), 4)


def scale_logits(network: Any, temperature: float) -> None:
    """Divides a network's logits by a temperature, in place: the last dense layer's kernel and bias.

    Args:
        network: A Keras model that ends in the dense layer of `backbones.build_model` and softmax or
            sigmoid.
        temperature: From `fit_temperature`.
    """
    head = network.get_layer(HEAD_LAYER)
    head.set_weights([weights / temperature for weights in head.get_weights()])


def _too_sure(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> bool:
    """Whether the right answers become more likely with a higher temperature."""
    scaled = logits / temperature
    scores = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    expected = (scores * logits).sum(axis=1)
    return bool((expected - logits[np.arange(len(labels)), labels]).mean() > 0)
