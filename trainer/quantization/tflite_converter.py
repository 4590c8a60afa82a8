"""Runs TensorFlow Lite's converter.

The network is frozen, at batch 1, before the converter sees it. Given the Keras model itself, the converter first
saves and loads all its layers again, which takes 90% of its time (MobileNetV2 0.35: 16 s against 1 s); and a batch
left open keeps shape operations in the graph that XNNPACK doesn't take.

INT8 takes two steps, which give what the converter gives in one, and can do more: `calibrate` notes the range of each
tensor in a float model, `quantize_calibrated` quantizes its operations, or leaves some in float, or puts the float
operation beside each quantized one to compare them.
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
"""The converter's setting for what tflite-runtime 2.14 takes: no dense layer whose kernel has several scales."""

_DEAD_RANGE = 1e-6


class Network(Protocol):
    """What can be converted: a tf_keras model, or what `trainer.workflows.external.keras_models.load_keras` returns."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(batch, height, width, channels)."""

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Maps normalized float32 pictures to scores."""


def convert(model: Network, settings: dict[str, Any]) -> bytes:
    """Converts a network with batch 1.

    Args:
        model: Takes normalized float32 (N, height, width, channels), gives (N, classes).
        settings: Attributes of ``tf.lite.TFLiteConverter``.

    Raises:
        ConversionError: The network has no fixed input size, or the converter failed.
    """
    shape = _input_shape(model)
    with speaking_of_failure():
        converter = _frozen_converter(model, shape)
        for name, value in settings.items():
            setattr(converter, name, value)
        content: bytes = converter.convert()
    return content


def calibration_settings(
    model: Network, images: NDArray[np.uint8], contract: InputContract, ops_set: str
) -> dict[str, Any]:
    """The converter's settings for quantization of activations with a representative dataset.

    Args:
        model: As for `convert`.
        images: The representative dataset, uint8 (N, height, width, channels) as the contract orders them, 0–255.
        contract: Its mean and std are what the network was trained with.
        ops_set: Name in ``tf.lite.OpsSet``.

    Raises:
        ConversionError: There are no images, or not such ones.
    """
    import tensorflow as tf

    height, width, channels = _input_shape(model)[1:]
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels) or len(images) == 0:
        raise ConversionError(
            f"Expected a representative dataset of uint8 pictures of shape {(height, width, channels)}, "
            f"got {images.dtype} of shape {images.shape}. Prepare them with edge_runtime.pixels.preprocess."
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
    """Converts a network to a float model whose tensors carry their ranges on the pictures.

    Args:
        model: As for `convert`.
        images: The representative dataset, as for `calibration_settings`.
        contract: The same.

    Raises:
        ConversionError: There are no images, or the converter failed.
    """
    settings = {
        **calibration_settings(model, images, contract, "TFLITE_BUILTINS_INT8"),
        **ONE_SCALE_FOR_DENSE,  # where ranges were learned, kernels are quantized here already
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
    """Quantizes what `calibrate` made to INT8.

    A convolution's kernel has a scale for each output channel, a dense layer's has one: tflite-runtime 2.14's XNNPACK
    takes no dense layer with several, and what it leaves costs 4 µs a class.

    Args:
        calibrated: The model.
        io: dtype of the input and output tensors.
        float_tensors: Outputs of the operations that stay in float (`converted_graph.Operation.tensor`).
        verify: Puts the float operation, and a ``NumericVerify`` that takes the difference, beside each quantized one.

    Raises:
        ConversionError: The converter failed.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    with speaking_of_failure():
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
    """Pictures one by one as a float network takes them: float32 (1, height, width, channels).

    Args:
        images: uint8 (N, height, width, channels), 0–255.
        contract: Its mean and std.
    """
    channels = images.shape[-1]
    table = pixel_table(contract, TensorSpec("float32", (1, *images.shape[1:])))
    for image in images:
        yield np.stack([table[image[..., c], c] for c in range(channels)], axis=-1)[None]


@contextmanager
def speaking_of_failure() -> Iterator[None]:
    """Keeps the converter from speaking, and turns what it raises into one clear error.

    Raises:
        ConversionError: Anything failed.
    """
    with tempfile.TemporaryFile() as log:
        try:
            with quiet(log):
                yield
        except Exception as error:  # the converter raises many kinds, Exception itself among them
            log.seek(0)
            reason = str(error).strip().splitlines() or log.read().decode("utf-8", "replace").splitlines() or [""]
            raise ConversionError(
                f"Expected TensorFlow's converter to make a model, but it failed: {reason[0]} "
                "Check that the network has only layers that TensorFlow Lite knows."
            ) from error


def _widen_dead_ranges(calibrated: bytes) -> bytes:
    """Gives tensors that are always zero, as behind a dead ReLU of a squeeze-and-excite, the range from 0 to 1.

    The quantizer would take the least it knows, 2e-6, and XNNPACK refuses a network with an operation that multiplies
    its input's scale to so small a one.
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
            f"Expected a network with one input (batch, height, width, 1 or 3) of fixed size, got {shape}. "
            "Build it with a fixed input size."
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
