"""Temperature scaling: calibrate a network's scores with one number."""

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
    """Fit the temperature that maximizes the likelihood of the true classes (Guo et al., 2017, section 4.2).

    Dividing the logits by it changes neither the order of the classes nor on which side of 0.5 a sigmoid lies. It is
    limited to 0.1–10, since with only correct predictions the likelihood would rise without end.

    Args:
        evaluation: Evaluation of a float network on the validation split.

    Returns:
        The temperature; 1 if there were too many classes to keep all scores.
    """
    if isinstance(evaluation, MultiLabelEvaluation):
        # A sigmoid is the softmax of its logit and 0.
        there = np.asarray(evaluation.scores, np.float64)
        all_scores, labels = np.stack([1 - there, there], axis=1), np.asarray(evaluation.labels)
    elif evaluation.all_scores is None:
        return 1.0
    else:
        all_scores, labels = evaluation.all_scores.astype(np.float64), np.asarray(evaluation.labels)
    # The logits, up to a constant for each picture, which softmax cancels.
    logits = np.log(np.maximum(all_scores, np.finfo(np.float32).tiny))
    # The likelihood is concave in 1/T and its slope has one zero: bisect log T.
    low, high = np.log(_LEAST), np.log(_MOST)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _too_sure(logits, labels, np.exp(middle)) else (low, middle)
    return round(float(np.exp((low + high) / 2)), 4)


def scale_logits(network: Any, temperature: float) -> None:
    """Divide a network's logits by a temperature, in place, through the weights of its last dense layer.

    Args:
        network: Keras model from `backbones.build_model`, which ends in a dense layer and softmax or sigmoid.
        temperature: Temperature from `fit_temperature`.
    """
    head = network.get_layer(HEAD_LAYER)
    head.set_weights([weights / temperature for weights in head.get_weights()])


def _too_sure(logits: NDArray[np.float64], labels: NDArray[np.int64], temperature: float) -> bool:
    """Return True if a higher temperature would make the true classes more likely."""
    scaled = logits / temperature
    scores = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    scores /= scores.sum(axis=1, keepdims=True)
    expected = (scores * logits).sum(axis=1)
    return bool((expected - logits[np.arange(len(labels)), labels]).mean() > 0)
