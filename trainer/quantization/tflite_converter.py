"""Runs TensorFlow Lite's converter.

The network is frozen at batch size 1 before the converter sees it. Given the Keras model itself, the converter would
first save and reload all layers, which takes 90% of its time (MobileNetV2 0.35: 16 s instead of 1 s), and an unknown
batch size would leave shape operations in the graph that XNNPACK does not support.

INT8 takes two steps, which give the same result as the converter's single one and allow more. `calibrate` records the
range of each tensor in a float model. `quantize_calibrated` quantizes its operations, and can leave some in float or
put the float operation beside each quantized one for comparison.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from edge_runtime.pixels.preprocess import pixel_table
from edge_runtime.types import InputContract, TensorSpec
from trainer.environment import quiet
from trainer.errors import ConversionError
from trainer.quantization.converted_graph import read_flatbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

ONE_SCALE_FOR_DENSE = {"_experimental_disable_per_channel_quantization_for_dense_layers": True}
"""Converter setting for tflite-runtime 2.14, which cannot load dense layers with one scale per output."""

_DEAD_RANGE = 1e-6


class Network(Protocol):
    """A network that can be converted: a tf_keras model, or one from `workflows.external.keras_models.load_keras`."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """Shape of the input: (batch, height, width, channels)."""

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Compute scores (N, classes) from normalized pictures, float32 (N, height, width, channels)."""


def convert(model: Network, settings: dict[str, Any]) -> bytes:
    """Convert a network with batch size 1.

    Args:
        model: Network from normalized pictures, float32 (N, height, width, channels), to scores (N, classes).
        settings: Attributes to set on ``tf.lite.TFLiteConverter``.

    Raises:
        ConversionError: The network has no fixed input size, or the converter failed.
    """
    shape = _input_shape(model)
    with converter_errors():
        converter = _frozen_converter(model, shape)
        for name, value in settings.items():
            setattr(converter, name, value)
        content: bytes = converter.convert()
    return content


def calibration_settings(
    model: Network, images: NDArray[np.uint8], contract: InputContract, ops_set: str
) -> dict[str, Any]:
    """Return the converter's settings to quantize activations with a representative dataset.

    Args:
        model: Network as for `convert`.
        images: Representative dataset, uint8 (N, height, width, channels) in the contract's channel order, 0–255.
        contract: Mean and standard deviation that the network was trained with.
        ops_set: Name in ``tf.lite.OpsSet``.

    Raises:
        ConversionError: There are no images, or they have another dtype or shape.
    """
    import tensorflow as tf

    height, width, channels = _input_shape(model)[1:]
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels) or len(images) == 0:
        raise ConversionError(
            f"Expected a representative dataset of uint8 pictures of shape {(height, width, channels)}, "
            f"got {images.dtype} of shape {images.shape}. Resize the pictures with edge_runtime.pixels.preprocess."
        )

    def representative_dataset() -> Iterator[list[NDArray[np.float32]]]:
        for image in normalized(images, contract):
            yield [image]

    return {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": representative_dataset,
        "target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet[ops_set]]),
    }


def calibrate(model: Network, images: NDArray[np.uint8], *, contract: InputContract) -> bytes:
    """Convert a network to a float model whose tensors carry their ranges on a representative dataset.

    Args:
        model: Network as for `convert`.
        images: Representative dataset, uint8 (N, height, width, channels), as for `calibration_settings`.
        contract: Input contract as for `calibration_settings`.

    Raises:
        ConversionError: There are no images, or the converter failed.
    """
    settings = {
        **calibration_settings(model, images, contract, "TFLITE_BUILTINS_INT8"),
        **ONE_SCALE_FOR_DENSE,  # after quantization-aware training, kernels are quantized here
        "_experimental_calibrate_only": True,
    }
    return _widen_dead_ranges(convert(model, settings))


def quantize_calibrated(
    calibrated: bytes,
    *,
    io: Literal["float32", "int8", "uint8"] = "float32",
    float_tensors: Sequence[str] = (),
    verify: bool = False,
) -> bytes:
    """Quantize a model from `calibrate` to INT8.

    The kernel of a convolution has one scale per output channel, that of a dense layer a single scale: the XNNPACK of
    tflite-runtime 2.14 does not accelerate per-channel dense layers, which then cost 4 µs per class.

    Args:
        calibrated: Content of the calibrated model.
        io: dtype of the input and output tensors.
        float_tensors: Output tensors of the operations to keep in float (`converted_graph.Operation.tensor`).
        verify: If True, the float operation and a ``NumericVerify``, which computes the difference, are put beside
            each quantized operation.

    Raises:
        ConversionError: The converter failed.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    with converter_errors():
        content: bytes = mlir_quantize(
            calibrated,
            input_data_type=tf.as_dtype(io),
            output_data_type=tf.as_dtype(io),
            enable_numeric_verify=verify,
            denylisted_nodes=list(float_tensors),
            disable_per_channel_for_dense_layers=True,
        )
    return content


def normalized(images: NDArray[np.uint8], contract: InputContract) -> Iterator[NDArray[np.float32]]:
    """Yield normalized pictures one by one, float32 (1, height, width, channels).

    Args:
        images: uint8 (N, height, width, channels), 0–255.
        contract: Mean and standard deviation of the network's input.
    """
    channels = images.shape[-1]
    table = pixel_table(contract, TensorSpec("float32", (1, *images.shape[1:])))
    for image in images:
        yield np.stack([table[image[..., c], c] for c in range(channels)], axis=-1)[None]


@contextmanager
def converter_errors() -> Iterator[None]:
    """Silence the converter, and turn whatever it raises into one clear error.

    Raises:
        ConversionError: The converter failed.
    """
    with tempfile.TemporaryFile() as log:
        try:
            with quiet(log):
                yield
        except Exception as error:  # the converter raises many types, including Exception itself
            log.seek(0)
            reason = str(error).strip().splitlines() or log.read().decode("utf-8", "replace").splitlines() or [""]
            raise ConversionError(
                f"TensorFlow's converter failed: {reason[0]} "
                "Check that the network has only layers that TensorFlow Lite supports."
            ) from error


def _widen_dead_ranges(calibrated: bytes) -> bytes:
    """Give tensors that are always zero, such as those after a dead ReLU in a squeeze-and-excite, the range 0–1.

    The quantizer would use its smallest range, 2e-6, and XNNPACK rejects a network with an operation whose output scale
    is that small compared with its input's.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    model = read_flatbuffer(calibrated)
    ranges = [tensor.quantization for tensor in model.subgraphs[0].tensors if tensor.quantization is not None]
    dead = [r for r in ranges if r.max is not None and max(*r.max, 0) - min(*r.min, 0) < _DEAD_RANGE]
    for quantization in dead:
        quantization.max = np.ones(1, np.float32)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if dead else calibrated


def _input_shape(model: Network) -> tuple[int, int, int, int]:
    shape = tuple(model.input_shape)
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise ConversionError(
            f"The network's input shape {shape} is not supported. Build the network with one input of shape "
            "(batch, height, width, channels), with a fixed height and width and 1 or 3 channels."
        )
    return (1, int(shape[1] or 0), int(shape[2] or 0), int(shape[3] or 0))


def _frozen_converter(model: Network, shape: tuple[int, int, int, int]) -> Any:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def classify(image: Any) -> Any:
        return model(image, training=False)

    signature = [tf.TensorSpec(shape, tf.float32, name="image")]
    function = tf.function(classify, input_signature=signature, autograph=False).get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())
