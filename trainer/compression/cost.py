"""Cost of a network, independent of its precision: multiply-adds, zero weights and layer widths."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.compression.sparsity import total_sparsity
from trainer.errors import CompressionError
from trainer.types import NetworkCost

if TYPE_CHECKING:
    import tf_keras


def count_cost(model: tf_keras.Model) -> NetworkCost:
    """Count the multiply-adds and zero weights of a model; see `layer_macs` for its requirements.

    Raises:
        CompressionError: The input size is not fixed.
    """
    return NetworkCost(count_macs(model), total_sparsity(model))


def count_macs(model: tf_keras.Model) -> int:
    """Count the multiply-adds for one picture at the model's input size; see `layer_macs` for what is counted.

    Raises:
        CompressionError: The input size is not fixed.
    """
    return sum(layer_macs(model).values())


def layer_macs(model: tf_keras.Model) -> dict[str, int]:
    """Count the multiply-adds for one picture in each convolution and dense layer, by name.

    A kernel is applied at each output pixel. Biases, batch normalizations (which the converter folds into kernels),
    activations and pooling are not counted.

    Args:
        model: Functional model of plain layers, channels last, of fixed input size.

    Raises:
        CompressionError: The input size is not fixed.
    """
    from tf_keras.layers import Conv2D, Dense, DepthwiseConv2D, SeparableConv2D

    macs = {}
    for layer in model.layers:
        if isinstance(layer, (Conv2D, DepthwiseConv2D, SeparableConv2D, Dense)):
            # A shared layer computes once per call.
            shapes = [layer.get_output_shape_at(call) for call in range(len(layer.inbound_nodes))]
            if any(None in shape[1:] for shape in shapes):
                raise CompressionError(
                    f"The network's input size is not fixed: {model.input_shape}. Build the network for one size."
                )
            kernels = sum(math.prod(weight.shape) for weight in layer.weights if weight.shape.rank > 1)
            macs[layer.name] = sum(math.prod(shape[1:-1]) * kernels for shape in shapes)
    return macs


def layer_widths(model: tf_keras.Model) -> dict[str, int]:
    """Output channels of each convolution by name, except depthwise ones, which have as many as they read."""
    from tf_keras.layers import Conv2D

    return {layer.name: layer.filters for layer in model.layers if isinstance(layer, Conv2D)}
