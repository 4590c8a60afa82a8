"""How many of its weights each layer loses, so that a share of all is gone and the network's answers change least.

Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", 2021: a weight's score is its square against the
sum of the squares of all weights in its layer that are no smaller. The least scores go, whichever layer they are in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def layer_adaptive(magnitudes: Mapping[str, NDArray[np.float32]], sparsity: float) -> dict[str, float]:
    """Divides a sparsity among layers.

    Args:
        magnitudes: By layer, how large its weights or blocks of weights are; none negative.
        sparsity: Share of all of them that goes, from 0 to below 1.

    Returns:
        Each layer's own share, 0–1. Each layer keeps its largest.
    """
    scores = {name: _scores(values) for name, values in magnitudes.items()}
    ordered = np.sort(np.concatenate(list(scores.values())))
    least = ordered[min(round(sparsity * ordered.size), ordered.size - len(scores))]
    return {name: float(np.mean(found < least)) for name, found in scores.items()}


def _scores(magnitudes: NDArray[np.float32]) -> NDArray[np.float64]:
    """In growing order; the last one is 1."""
    squares = np.sort(magnitudes.ravel().astype(np.float64)) ** 2
    remaining = np.cumsum(squares[::-1])[::-1]
    return np.divide(squares, remaining, out=np.ones_like(squares), where=remaining > 0)
