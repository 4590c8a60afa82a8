"""What a network costs, whatever its precision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.compression.macs import count_macs
from trainer.compression.sparsity import total_sparsity
from trainer.types import NetworkCost

if TYPE_CHECKING:
    import tf_keras


def count_cost(model: tf_keras.Model) -> NetworkCost:
    """Multiply-adds and zeros of a functional model of plain layers.

    Raises:
        CompressionError: The input size isn't fixed.
    """
    return NetworkCost(count_macs(model), total_sparsity(model))
