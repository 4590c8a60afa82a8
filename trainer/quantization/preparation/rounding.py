"""Rounds a network's kernels to INT8 beforehand, and corrects the shift that this leaves in each layer's mean output.

Rounding each weight to the nearest step shifts the output of filters whose weights nearly cancel, as depthwise filters
of pretrained networks do, and batch normalization multiplies the shift by up to a hundred: MobileNetV2 0.35 lost 3
points to it. The shift is known, so it is subtracted, layer by layer from the input on, measured on real pictures
(empirical bias correction; Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction",
2019, section 4.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.layers import copy_network
from trainer.training.augmentation.augment import normalize

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

_LARGEST = 127


_PICTURES = 64


def round_kernels(model: tf_keras.Model, images: NDArray[np.uint8], *, contract: InputContract) -> tf_keras.Model:
    """Returns a copy of a model with its kernels on the converter's grid and its biases corrected.

    The grid is that of TensorFlow Lite's INT8 specification: symmetric, one scale for each output channel, which is
    the largest weight's over 127; one for all of a dense layer. It survives the folding of batch normalization, which
    only multiplies channels. The correction goes into the layer's bias, or else into the moving mean of the batch
    normalization that follows; a layer with neither is left as it is.

    Args:
        model: A functional or sequential model. It is not changed.
        images: The representative dataset, uint8 (N, height, width, channels), 0–255; the first 64 are used.
        contract: Its mean and std.
    """
    import tensorflow as tf
    import tf_keras

    copy = copy_network(model)
    # Both networks are run side by side, layer by layer; `exact` and `rounded` hold what is still needed of each.
    pixels = normalize(images[:_PICTURES], contract.mean, contract.std)
    exact, rounded = _Flow(model, pixels), _Flow(copy, pixels)
    for layer, twin in zip(model.layers, copy.layers, strict=True):
        if isinstance(layer, tf_keras.layers.InputLayer):
            continue
        follower = _batch_norm_after(twin)
        if _has_kernel(twin) and (twin.use_bias or follower is not None):
            kernel, *rest = twin.get_weights()
            twin.set_weights([round_to_grid(kernel, depthwise=_is_depthwise(twin)), *rest])
            a, b = exact.run(layer), rounded.run(twin)
            shift = tf.reduce_mean(b - a, axis=list(range(b.shape.rank - 1)))
            if twin.use_bias:
                twin.bias.assign_sub(shift)
                rounded.replace(twin, b - shift)
            else:
                follower.moving_mean.assign_add(shift)
        else:
            exact.run(layer)
            rounded.run(twin)
    return copy


def round_to_grid(kernel: NDArray[np.float32], *, depthwise: bool) -> NDArray[np.float32]:
    """The nearest values that are whole multiples of each output channel's largest weight over 127.

    A dense layer has one grid, that of its largest weight, as `tflite_converter.quantize_calibrated` gives it.

    Args:
        kernel: (height, width, inputs, outputs), (height, width, channels, multiplier) of a depthwise layer, or
            (inputs, outputs) of a dense one.
        depthwise: Whether it is the second.
    """
    axes = (0, 1) if depthwise or kernel.ndim == 2 else (0, 1, 2)
    scale = np.abs(kernel).max(axis=axes, keepdims=True) / _LARGEST
    scale[scale == 0] = 1.0
    return np.asarray(np.round(kernel / scale) * scale, np.float32)


class _Flow:
    """A model's tensors between its layers, as far as a layer still waits for them."""

    def __init__(self, model: Any, images: Any) -> None:
        self._waiting: dict[str, int] = model._tensor_usage_count
        self._tensors: dict[str, list[Any]] = {}
        self._keep(str(id(model.inputs[0])), images)

    def run(self, layer: Any) -> Any:
        """Puts the layer's inputs through it, and returns its output."""
        node = layer.inbound_nodes[0]
        arguments, options = node.map_arguments(self._tensors)
        if _takes_training(layer):
            options["training"] = False
        output = layer(*arguments, **options)
        self.replace(layer, output)
        return output

    def replace(self, layer: Any, output: Any) -> None:
        """Gives the layers that follow another output of this one."""
        self._keep(layer.inbound_nodes[0].flat_output_ids[0], output)

    def _keep(self, key: str, tensor: Any) -> None:
        self._tensors[key] = [tensor] * self._waiting[key]


def _takes_training(layer: Any) -> bool:
    import tf_keras

    return isinstance(layer, (tf_keras.layers.BatchNormalization, tf_keras.layers.Dropout, tf_keras.Model))


def _has_kernel(layer: Any) -> bool:
    import tf_keras

    return isinstance(layer, (tf_keras.layers.Conv2D, tf_keras.layers.DepthwiseConv2D, tf_keras.layers.Dense))


def _is_depthwise(layer: Any) -> bool:
    import tf_keras

    return isinstance(layer, tf_keras.layers.DepthwiseConv2D)


def _batch_norm_after(layer: Any) -> Any:
    """The batch normalization that is the layer's only follower, or None."""
    import tf_keras

    nodes = layer.outbound_nodes
    follower = nodes[0].layer if len(nodes) == 1 else None
    return follower if isinstance(follower, tf_keras.layers.BatchNormalization) else None
