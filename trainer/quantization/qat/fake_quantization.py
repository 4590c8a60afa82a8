"""Simulates the rounding of INT8 in a Keras model, with TFMOT's wrappers.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
section 3. TFMOT's own scheme is not used: it quantizes depthwise kernels with one scale for all channels, starts with
activation ranges of ±6, and does not support hard-swish and squeeze-and-excite.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.layers import is_depthwise, kernel_name
from trainer.training.augmentation.augment import normalize

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

Range = tuple[float, float]

_BATCH = 16
# One ReLU in MobileNetV3-Small's squeeze-and-excite blocks is zero on all pictures. XNNPACK rejects a model with the
# scale that the converter would compute from that range.
_LEAST_RANGE = 0.01


def fake_quantized(network: tf_keras.Model, ranges: dict[str, Range], *, kernels: bool) -> tf_keras.Model:
    """Return a copy of a network that rounds like the INT8 model will.

    Args:
        network: Flat network with folded batch normalizations. It is not changed.
        ranges: Lowest and highest output of the layers whose outputs are rounded, by name; a moving average updates
            them in training.
        kernels: If True, kernels are rounded each time they are used. The converter does not support that; for
            conversion, kernels must be on the grid already.

    Returns:
        A network with the same layer names; layers that round are TFMOT's wrappers.
    """
    import tensorflow_model_optimization as tfmot
    import tf_keras

    scheme, rounding = _tfmot_parts()

    def annotate(layer: Any) -> Any:
        copy = layer.__class__.from_config(layer.get_config())
        with_kernel = kernels and kernel_name(layer) is not None
        if not with_kernel and layer.name not in ranges:
            return copy
        return tfmot.quantization.keras.quantize_annotate_layer(copy, rounding(with_kernel, ranges.get(layer.name)))

    annotated = tf_keras.models.clone_model(network, clone_function=annotate)
    annotated.set_weights(network.get_weights())
    with tfmot.quantization.keras.quantize_scope({rounding.__name__: rounding}):
        return tfmot.quantization.keras.quantize_apply(annotated, scheme, quantized_layer_name_prefix="")


def measure_ranges(network: tf_keras.Model, images: NDArray[np.uint8], *, contract: InputContract) -> dict[str, Range]:
    """Measure the output range, including zero, of each layer whose output the INT8 model stores.

    Args:
        network: Flat network with folded batch normalizations.
        images: Representative dataset, uint8 (N, height, width, channels), 0–255.
        contract: Mean and standard deviation of the network's input.
    """
    import tf_keras

    body = tf_keras.Model(network.input, {layer.name: layer.output for layer in network.layers if _is_stored(layer)})
    lowest, highest = dict.fromkeys(body.output_names, 0.0), dict.fromkeys(body.output_names, _LEAST_RANGE)
    for start in range(0, len(images), _BATCH):
        outputs = body(normalize(images[start : start + _BATCH], contract.mean, contract.std), training=False)
        for name, output in outputs.items():
            lowest[name] = min(lowest[name], float(np.min(output)))
            highest[name] = max(highest[name], float(np.max(output)))
    return {name: (lowest[name], highest[name]) for name in lowest}


def learned_range(wrapper: Any) -> Range:
    """Return the output range of a layer after training with `fake_quantized`."""
    variables = wrapper._output_quantizer_vars
    return float(variables["min_var"].numpy()), max(float(variables["max_var"].numpy()), _LEAST_RANGE)


def _is_stored(layer: Any) -> bool:
    """Whether a layer's output is a tensor of the INT8 model whose range training can follow.

    This includes every output of a convolution or dense layer, after the ReLU that is fused with it. If the converter
    measured such a range itself, it would compute the bias's scale from the measured instead of the learned range, and
    the bias would be wrong. Not included are the operators inside a hard-swish or hard-sigmoid, which the converter
    recognizes by their pattern.
    """
    from tf_keras import layers

    kinds = (layers.Add, layers.Multiply, layers.GlobalAveragePooling2D)
    if _is_relu(layer):
        return not _is_operator(layer.input._keras_history.layer)
    followers = [node.layer for node in layer.outbound_nodes]
    fused = len(followers) == 1 and _is_relu(followers[0])
    return (kernel_name(layer) is not None or isinstance(layer, kinds)) and not fused


def _is_relu(layer: Any) -> bool:
    from tf_keras.layers import Activation, ReLU

    name = getattr(getattr(layer, "activation", None), "__name__", "")
    return isinstance(layer, ReLU) or (isinstance(layer, Activation) and name in ("relu", "relu6"))


def _is_operator(layer: Any) -> bool:
    """Whether the layer is an operator such as ``+`` or ``*``."""
    return type(layer).__name__ == "TFOpLambda"


def round_kernel(kernel: tf.Tensor, *, depthwise: bool) -> tf.Tensor:
    """Round like `preparation.rounding.round_to_grid`, with the gradient of the kernel itself (straight-through).

    Args:
        kernel: float32, in one of the shapes for `round_to_grid`.
        depthwise: Whether it is the kernel of a depthwise layer.
    """
    import tensorflow as tf

    grids = int(np.prod(kernel.shape[2:])) if depthwise or len(kernel.shape) == 2 else kernel.shape[-1]
    columns = tf.reshape(kernel, (-1, grids))
    largest = tf.maximum(tf.reduce_max(tf.abs(columns), axis=0), 1e-9)
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(columns, -largest, largest, narrow_range=True)
    return tf.reshape(rounded, kernel.shape)


@cache
def _tfmot_parts() -> tuple[Any, Any]:
    """Return TFMOT's scheme and a `QuantizeConfig` class made from (whether the kernel is rounded, output range).

    The scheme changes no layers and quantizes only those that are annotated.
    """
    import tensorflow_model_optimization as tfmot

    keras = tfmot.quantization.keras

    class KernelQuantizer(keras.quantizers.Quantizer):  # type: ignore[misc, name-defined]  # TFMOT has no types
        """Computes the scale from the current kernel; TFMOT's uses that of the last training step in inference."""

        def __init__(self, depthwise: bool) -> None:
            self.depthwise = depthwise

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            return {}

        def __call__(self, inputs: Any, training: Any, weights: Any, **kwargs: Any) -> Any:
            return round_kernel(inputs, depthwise=self.depthwise)

        def get_config(self) -> dict[str, Any]:
            return {"depthwise": self.depthwise}

    class OutputQuantizer(keras.quantizers.MovingAverageQuantizer):  # type: ignore[misc, name-defined]
        """Starts with a measured range."""

        def __init__(self, output_range: Range) -> None:
            super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
            self.output_range = output_range

        def build(self, tensor_shape: Any, name: str, layer: Any) -> dict[str, Any]:
            variables: dict[str, Any] = super().build(tensor_shape, name, layer)
            for variable, value in zip((variables["min_var"], variables["max_var"]), self.output_range, strict=True):
                variable.assign(value)
            return variables

    class Rounding(keras.QuantizeConfig):  # type: ignore[misc, name-defined]
        def __init__(self, kernel: bool, output_range: Range | None) -> None:
            self.kernel, self.output_range = kernel, output_range

        def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
            if not self.kernel:
                return []
            return [(getattr(layer, kernel_name(layer) or ""), KernelQuantizer(is_depthwise(layer)))]

        def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
            return []

        def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
            for weight in quantize_weights:
                setattr(layer, kernel_name(layer) or "", weight)

        def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
            pass

        def get_output_quantizers(self, layer: Any) -> list[Any]:
            return [OutputQuantizer(self.output_range)] if self.output_range else []

        def get_config(self) -> dict[str, Any]:
            return {"kernel": self.kernel, "output_range": self.output_range}

    class Layout(keras.QuantizeLayoutTransform):  # type: ignore[misc, name-defined]
        def apply(self, model: Any, layer_quantize_map: Any) -> tuple[Any, Any]:
            return model, layer_quantize_map

    class Registry(keras.QuantizeRegistry):  # type: ignore[misc, name-defined]
        def supports(self, layer: Any) -> bool:
            return False

        def get_quantize_config(self, layer: Any) -> None:
            return None

    class Scheme(keras.QuantizeScheme):  # type: ignore[misc, name-defined]
        def get_layout_transformer(self) -> Any:
            return Layout()

        def get_quantize_registry(self) -> Any:
            return Registry()

    return Scheme(), Rounding
