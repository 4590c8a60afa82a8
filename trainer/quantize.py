"""Converts a Keras model to a float and to a full-INT8 TensorFlow Lite model.

The network is frozen, at batch 1, before the converter sees it. Given the Keras model itself, the converter first
saves and loads all its layers again, which takes 90% of its time (MobileNetV2 0.35: 16 s against 1 s); and a batch
left open keeps shape operations in the graph that XNNPACK doesn't take.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from edge_runtime.preprocess import pixel_table
from edge_runtime.types import InputContract, TensorSpec
from trainer.errors import ConversionError
from trainer.quiet import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray

# enum TensorType of TensorFlow Lite's schema.fbs
_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}
_INTEGERS = {"int8", "uint8", "int32", "int64", "bool"}


class Network(Protocol):
    """What can be converted: a tf_keras model, or what `trainer.keras_models.load_keras` returns."""

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """(batch, height, width, channels)."""

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Maps normalized float32 pictures to scores."""


def convert_fp32(model: Network, *, verbose: bool = False) -> bytes:
    """Converts a network to a float32 model with batch 1.

    Args:
        model: Takes normalized float32 (N, height, width, channels), gives (N, classes).
        verbose: Lets the converter speak.

    Raises:
        ConversionError: The converter failed, or made something else.
    """
    content = _convert(model, {}, verbose=verbose)
    for role, spec in zip(("input", "output"), _tensor_specs(content), strict=True):
        _expect(spec.dtype == "float32", f"a float32 {role}", spec.dtype)
    return content


def convert_int8(
    model: Network,
    images: NDArray[np.uint8],
    *,
    contract: InputContract,
    io: Literal["int8", "uint8"] = "int8",
    verbose: bool = False,
) -> bytes:
    """Quantizes a network after training: all operations integer (Jacob et al., 2018), weights per channel.

    Args:
        model: As for `convert_fp32`.
        images: The representative dataset, uint8 (N, height, width, channels) as the contract orders them, 0–255.
        contract: Its mean and std are what the network was trained with.
        io: dtype of the input and output tensors.
        verbose: Lets the converter speak.

    Raises:
        ConversionError: There are no images, the converter failed, or something stayed float.
    """
    import tensorflow as tf

    height, width, channels = _input_shape(model)[1:]
    if images.dtype != np.uint8 or images.shape[1:] != (height, width, channels) or len(images) == 0:
        raise ConversionError(
            f"Expected a representative dataset of uint8 pictures of shape {(height, width, channels)}, "
            f"got {images.dtype} of shape {images.shape}. Prepare them with edge_runtime.preprocess."
        )
    table = pixel_table(contract, TensorSpec("float32", (1, height, width, channels)))

    def representative_dataset() -> Iterator[list[NDArray[np.float32]]]:
        for image in images:
            yield [np.stack([table[image[..., c], c] for c in range(channels)], axis=-1)[None]]

    settings = {
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "representative_dataset": representative_dataset,
        "target_spec": tf.lite.TargetSpec(supported_ops=[tf.lite.OpsSet.TFLITE_BUILTINS_INT8]),
        "inference_input_type": tf.as_dtype(io),
        "inference_output_type": tf.as_dtype(io),
    }
    content = _convert(model, settings, verbose=verbose)
    check_int8(content, contract=contract, io=io)
    return content


def check_int8(content: bytes, *, contract: InputContract, io: Literal["int8", "uint8"]) -> None:
    """Checks that a model is integer throughout and takes pixels as they are, or minus 128.

    Raises:
        ConversionError: It isn't, or doesn't.
    """
    for role, spec in zip(("input", "output"), _tensor_specs(content), strict=True):
        _expect(spec.dtype == io, f"an {io} {role}", spec.dtype)
    # An empty representative dataset, for one, silently gives a float model inside.
    rest = {tensor.type for graph in _read(content).subgraphs for tensor in graph.tensors}
    names = {_DTYPES.get(kind, f"type {kind}") for kind in rest}
    _expect(names <= _INTEGERS, "integer tensors only", ", ".join(sorted(names - _INTEGERS)))
    mean, std = contract.mean, contract.std
    if len(set(mean)) == 1 and len(set(std)) == 1:
        spec = _tensor_specs(content)[0]
        exact = np.arange(256) - (128 if io == "int8" else 0)
        stored = pixel_table(contract, spec)[:, 0].astype(np.int64)
        _expect(
            bool((stored == exact).all()),
            "an input that holds the pixels" + (" minus 128" if io == "int8" else ""),
            f"scale {spec.scale} and zero point {spec.zero_point}; calibrate with pictures that reach 0 and 255",
        )


def _expect(condition: bool, expected: str, got: str) -> None:
    if not condition:
        raise ConversionError(f"Expected the converter to make {expected}, got {got}. Report this with the model.")


def _input_shape(model: Network) -> tuple[int, int, int, int]:
    shape = tuple(model.input_shape)
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise ConversionError(
            f"Expected a network with one input (batch, height, width, 1 or 3) of fixed size, got {shape}. "
            "Build it with a fixed input size."
        )
    return (1, int(shape[1] or 0), int(shape[2] or 0), int(shape[3] or 0))


def _convert(model: Network, settings: dict[str, Any], *, verbose: bool) -> bytes:
    """Runs the converter with its attributes set as in ``settings``."""
    shape = _input_shape(model)
    with tempfile.TemporaryFile() as log:
        try:
            with nullcontext() if verbose else quiet(log):
                converter = _frozen_converter(model, shape)
                for name, value in settings.items():
                    setattr(converter, name, value)
                content: bytes = converter.convert()
        except Exception as error:  # the converter raises many kinds, Exception itself among them
            log.seek(0)
            reason = str(error).strip().splitlines() or log.read().decode("utf-8", "replace").splitlines() or [""]
            raise ConversionError(
                f"Expected TensorFlow's converter to make a model, but it failed: {reason[0]} "
                "Check that the network has only layers that TensorFlow Lite knows."
            ) from error
    return content


def _frozen_converter(model: Network, shape: tuple[int, int, int, int]) -> Any:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def classify(image: Any) -> Any:
        return model(image, training=False)

    signature = [tf.TensorSpec(shape, tf.float32, name="image")]
    function = tf.function(classify, input_signature=signature, autograph=False).get_concrete_function()
    frozen = convert_variables_to_constants_v2(function)
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen], tf.Module())


def _read(content: bytes) -> Any:
    from tensorflow.lite.tools import flatbuffer_utils

    read: Callable[[bytearray], Any] = flatbuffer_utils.convert_bytearray_to_object
    return read(bytearray(content))


def _tensor_specs(content: bytes) -> tuple[TensorSpec, TensorSpec]:
    """The model's first input and first output."""
    graph = _read(content).subgraphs[0]

    def spec(index: int) -> TensorSpec:
        tensor = graph.tensors[index]
        quantization = tensor.quantization
        scaled = quantization is not None and quantization.scale is not None and len(quantization.scale) == 1
        return TensorSpec(
            dtype=_DTYPES.get(tensor.type, f"type {tensor.type}"),
            shape=tuple(int(n) for n in tensor.shape),
            scale=float(quantization.scale[0]) if scaled else 0.0,
            zero_point=int(quantization.zeroPoint[0]) if scaled else 0,
        )

    return spec(graph.inputs[0]), spec(graph.outputs[0])
