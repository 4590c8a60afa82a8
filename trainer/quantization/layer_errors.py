"""Measures the quantization error of each layer, with debug models from TensorFlow Lite's quantizer.

Beside each quantized operation, a debug model computes the float one from the same input, so that a layer's error does
not include those of earlier layers. ``tf.lite.experimental.QuantizationDebugger`` works in the same way, but its
interpreter uses XNNPACK, which rejects the debug models of MobileNetV3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.quantization.converted_graph import operation_name, operations_of, read_flatbuffer
from trainer.quantization.tflite_converter import (
    Network,
    calibrate,
    converter_errors,
    normalized,
    quantize_calibrated,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

_PICTURES = 32


@dataclass(frozen=True)
class LayerError:
    """The quantization error of one layer.

    Attributes:
        name: Name of the layer, for ``trainer.quantization.convert.convert_int8(float_layers=…)``.
        operation: Type of the TensorFlow Lite operation, such as ``"CONV_2D"``.
        rmse_over_scale: Root mean squared difference from the float operation, in units of the output's scale.
            Rounding alone gives √(1/12), about 0.29; TensorFlow's guide considers layers above 0.7 suspicious.
        mean_over_scale: Mean difference in the same unit: a shift, which later layers cannot average out.
    """

    name: str
    operation: str
    rmse_over_scale: float
    mean_over_scale: float


@dataclass(frozen=True)
class _Verified:
    """A quantized operation of a debug model, and the tensor that holds its difference from the float operation."""

    name: str
    operation: str
    scale: float
    difference: int


def layer_errors(model: Network, images: NDArray[np.uint8], *, contract: InputContract) -> tuple[LayerError, ...]:
    """Measure the error of each layer of a network when it is quantized to INT8.

    Args:
        model: Network as for `trainer.quantization.convert.convert_int8`.
        images: Representative dataset, uint8 (N, height, width, channels), 0–255. Ranges are measured on all pictures,
            errors on the first 32.
        contract: Mean and standard deviation of the network's input.

    Returns:
        One error per layer, worst first; for a layer of several operations, that of the worst one.

    Raises:
        ConversionError: There are no images, or the converter failed.
    """
    calibrated = calibrate(model, images, contract=contract)
    debug_model = quantize_calibrated(calibrated, verify=True)
    names = {operation.tensor: operation.name for operation in operations_of(calibrated)}
    verified = list(_verified(debug_model, names))
    with converter_errors():
        squares, means = _run(debug_model, [v.difference for v in verified], normalized(images[:_PICTURES], contract))
    errors = [
        LayerError(v.name, v.operation, float(np.sqrt(square)) / v.scale, float(mean) / v.scale)
        for v, square, mean in zip(verified, squares, means, strict=True)
    ]
    errors.sort(key=lambda error: error.rmse_over_scale)
    worst = {error.name: error for error in errors}
    return tuple(sorted(worst.values(), key=lambda error: -error.rmse_over_scale))


def _verified(debug_model: bytes, names: dict[str, str]) -> Iterator[_Verified]:
    """Operations that a debug model verifies; ``names`` maps tensors of the calibrated model to layers."""
    model = read_flatbuffer(debug_model)
    graph = model.subgraphs[0]
    makers = {index: operation for operation in graph.operators for index in operation.outputs}
    for operation in graph.operators:
        if operation_name(model, operation) == "NumericVerify":
            quantized = graph.tensors[operation.inputs[0]]
            tensor = quantized.name.decode()
            yield _Verified(
                # The quantizer appends a digit if the name is taken, such as by the network's float output.
                name=names.get(tensor) or names[tensor[:-1]],
                operation=operation_name(model, makers[operation.inputs[0]]),
                scale=float(quantized.quantization.scale[0]),
                difference=int(operation.outputs[0]),
            )


def _run(
    debug_model: bytes, differences: list[int], pictures: Iterator[NDArray[np.float32]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean square and mean of each difference over the pictures, float64 (operations,) each."""
    import tensorflow as tf

    interpreter: Any = tf.lite.Interpreter(
        model_content=debug_model,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    squares, means = [], []
    for picture in pictures:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
        interpreter.invoke()
        tensors = [interpreter.get_tensor(index).astype(np.float64) for index in differences]
        squares.append([np.square(tensor).mean() for tensor in tensors])
        means.append([tensor.mean() for tensor in tensors])
    return np.mean(squares, axis=0), np.mean(means, axis=0)
