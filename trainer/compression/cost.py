"""What a network costs, whatever its precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trainer.compression.sparsity import total_sparsity
from trainer.errors import CompressionError
from trainer.types import NetworkCost

if TYPE_CHECKING:
    import tf_keras


def count_cost(model: tf_keras.Model) -> NetworkCost:
    """Multiply-adds and zeros of a functional model of plain layers.

    Raises:
        CompressionError: The input size isn't fixed.
    """
    return NetworkCost(count_macs(model), total_sparsity(model))


def count_macs(model: tf_keras.Model) -> int:
    """Multiply-adds of one picture, at the model's input size.

    Args:
        model: As for `layer_macs`.

    Raises:
        CompressionError: The input size isn't fixed.
    """
    return sum(layer_macs(model).values())


def layer_macs(model: tf_keras.Model) -> dict[str, int]:
    """Multiply-adds of one picture in each convolution and dense layer, by name; a kernel works at each output pixel.

    Biases, batch normalizations (which the converter folds into kernels), activations and pooling aren't counted.

    Args:
        model: A functional model of plain layers, channels last, of fixed input size.

    Raises:
        CompressionError: The input size isn't fixed.
    """
    from tf_keras.layers import Conv2D, Dense, DepthwiseConv2D, SeparableConv2D

    macs = {}
    for layer in model.layers:
        if isinstance(layer, (Conv2D, DepthwiseConv2D, SeparableConv2D, Dense)):
            # A shared layer works once for each of its calls.
            shapes = [layer.get_output_shape_at(call) for call in range(len(layer.inbound_nodes))]
            if any(None in shape[1:] for shape in shapes):
                raise CompressionError(
                    f"Expected a network of fixed input size, got {model.input_shape}. Build it for one size."
                )
            kernels = sum(math.prod(weight.shape) for weight in layer.weights if weight.shape.rank > 1)
            macs[layer.name] = sum(math.prod(shape[1:-1]) * kernels for shape in shapes)
    return macs


def count_parameters(model: tf_keras.Model) -> int:
    """Numbers that a model holds: weights, biases, and batch normalization's scales, shifts and statistics."""
    return int(model.count_params())


def layer_widths(model: tf_keras.Model) -> dict[str, int]:
    """Output channels of each convolution by name, without the depthwise ones, which have as many as they read."""
    from tf_keras.layers import Conv2D

    return {layer.name: layer.filters for layer in model.layers if isinstance(layer, Conv2D)}
