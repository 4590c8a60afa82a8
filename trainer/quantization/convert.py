"""Converts a network to TensorFlow Lite: float32, float16, dynamic range, full INT8, INT8 with int16 activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_runtime.pixels.preprocess import pixel_table
from edge_runtime.types import InputContract
from trainer.errors import ConversionError
from trainer.quantization.converted_graph import (
    count_float_operations,
    dtype_of,
    dtypes_of,
    operations_of,
    read_flatbuffer,
    tensor_specs,
)
from trainer.quantization.tflite_converter import (
    ONE_SCALE_FOR_DENSE,
    calibrate,
    calibration_settings,
    convert,
    quantize_calibrated,
)
from trainer.quantization.tflite_converter import Network as Network  # callers of this module take it from here

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INTEGERS = {"int8", "uint8", "int32", "int64", "bool"}
# Kernels of fewer weights stay float32 where only weights are quantized: the converter's rule.
_DYNAMIC_RANGE_ELEMENTS = 1024


def convert_fp32(model: Network) -> bytes:
    """Converts a network to a float32 model with batch 1.

    Args:
        model: Takes normalized float32 (N, height, width, channels), gives (N, classes).

    Raises:
        ConversionError: The converter failed, or made something else.
    """
    content = convert(model, {})
    _expect_io(content, "float32")
    return content


def convert_float16(model: Network) -> bytes:
    """Stores a network's weights as float16: half the size; it computes in float32, as fast as a float32 model.

    Args:
        model: As for `convert_fp32`.

    Raises:
        ConversionError: The converter failed, or made something else.
    """
    import tensorflow as tf

    target = tf.lite.TargetSpec(supported_types=[tf.float16])
    content = convert(model, {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": target})
    _expect_io(content, "float32")
    _expect_kernels(content, "float16")
    return content


def convert_dynamic_range(model: Network) -> bytes:
    """Stores a network's kernels as int8; activations stay float32 and are quantized anew for each picture.

    Kernels of fewer than 1,024 weights stay float32, which is the converter's rule. The kernel of a dense layer has one
    scale for all its outputs, since tflite-runtime 2.14 can't load the dense layers with several that TensorFlow 2.17
    and later make.

    Args:
        model: As for `convert_fp32`.

    Raises:
        ConversionError: The converter failed, or made something else.
    """
    import tensorflow as tf

    content = convert(model, {"optimizations": [tf.lite.Optimize.DEFAULT], **ONE_SCALE_FOR_DENSE})
    _expect_io(content, "float32")
    _expect_kernels(content, "int8", smallest=_DYNAMIC_RANGE_ELEMENTS)
    return content


def convert_int8(
    model: Network,
    images: NDArray[np.uint8],
    *,
    contract: InputContract,
    io: Literal["int8", "uint8"] = "int8",
    float_layers: Sequence[str] = (),
) -> bytes:
    """Quantizes a network after training: all operations integer (Jacob et al., 2018), convolutions per channel.

    Args:
        model: As for `convert_fp32`.
        images: The representative dataset, uint8 (N, height, width, channels) as the contract orders them, 0–255.
        contract: Its mean and std are what the network was trained with.
        io: dtype of the input and output tensors.
        float_layers: Names of layers, as `trainer.quantization.layer_errors` gives them, that stay in float; what was
            fused with one of them stays with it.

    Raises:
        ConversionError: There are no images, the converter failed, something else stayed float, or there is no layer of
            such a name.
    """
    calibrated = calibrate(model, images, contract=contract)
    in_float = _outputs_of(calibrated, float_layers)
    content = quantize_calibrated(calibrated, io=io, float_tensors=in_float)
    check_int8(content, contract=contract, io=io, float_operations=len(in_float))
    return content


def convert_int16(model: Network, images: NDArray[np.uint8], *, contract: InputContract) -> bytes:
    """Quantizes a network after training to int16 activations and int8 weights (TensorFlow Lite's 16×8 scheme).

    For networks whose activations INT8 serves badly. The file is no smaller than INT8's, and XNNPACK doesn't take it:
    MobileNetV2 0.35 at 96 px takes 11 ms on x86, in INT8 0.4.

    Args:
        model: As for `convert_fp32`.
        images: As for `convert_int8`.
        contract: The same.

    Returns:
        A model that takes and gives float32, and is integer inside.

    Raises:
        ConversionError: There are no images, the converter failed, or something stayed float.
    """
    ops_set = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    content = convert(model, calibration_settings(model, images, contract, ops_set))
    _expect_io(content, "float32")
    inside = dtypes_of(content, inside=True)
    _expect("int16" in inside, "int16 tensors", ", ".join(sorted(inside)))
    _expect_only(inside, _INTEGERS | {"int16"})
    return content


def check_int8(
    content: bytes, *, contract: InputContract, io: Literal["int8", "uint8"], float_operations: int = 0
) -> None:
    """Checks that a model is integer throughout and takes pixels as they are, or minus 128.

    Args:
        content: The model.
        contract: Of its input.
        io: dtype of its input and output tensors.
        float_operations: Just so many operations are float instead.

    Raises:
        ConversionError: It isn't, or doesn't.
    """
    _expect_io(content, io)
    # An empty representative dataset, for one, silently gives a float model inside.
    _expect_only(dtypes_of(content), _INTEGERS | ({"float32"} if float_operations else set()))
    count = count_float_operations(content)
    _expect(count == float_operations, f"{float_operations} operations in float", str(count))
    mean, std = contract.mean, contract.std
    if len(set(mean)) == 1 and len(set(std)) == 1:
        spec = tensor_specs(content)[0]
        exact = np.arange(256) - (128 if io == "int8" else 0)
        stored = pixel_table(contract, spec)[:, 0].astype(np.int64)
        _expect(
            bool((stored == exact).all()),
            "an input that holds the pixels" + (" minus 128" if io == "int8" else ""),
            f"scale {spec.scale} and zero point {spec.zero_point}; calibrate with pictures that reach 0 and 255",
        )


def _outputs_of(calibrated: bytes, layers: Sequence[str]) -> list[str]:
    """Names of the output tensors of all operations with one of these layers in them."""
    operations = operations_of(calibrated)
    unknown = set(layers).difference(*(operation.layers for operation in operations))
    if unknown:
        known = ", ".join(operation.name for operation in operations)
        raise ConversionError(
            f"Expected float_layers to name layers of the network, got {', '.join(sorted(unknown))}. It has {known}."
        )
    return [operation.tensor for operation in operations if not operation.layers.isdisjoint(layers)]


def _expect_kernels(content: bytes, dtype: str, *, smallest: int = 1) -> None:
    """Checks that no kernel of ``smallest`` weights or more is still float32."""
    model = read_flatbuffer(content)
    kept = [
        tensor.name.decode()
        for tensor in model.subgraphs[0].tensors
        if dtype_of(tensor) == "float32"
        and len(tensor.shape) > 1
        and model.buffers[tensor.buffer].data is not None
        and np.prod(tensor.shape) >= smallest
    ]
    _expect(not kept, f"{dtype} kernels", f"float32 in {', '.join(kept)}")


def _expect_io(content: bytes, dtype: str) -> None:
    for role, spec in zip(("input", "output"), tensor_specs(content), strict=True):
        _expect(spec.dtype == dtype, f"{'an' if dtype == 'int8' else 'a'} {dtype} {role}", spec.dtype)


def _expect_only(found: set[str], allowed: set[str]) -> None:
    _expect(found <= allowed, "integer tensors only", ", ".join(sorted(found - allowed)))


def _expect(condition: bool, expected: str, got: str) -> None:
    if not condition:
        raise ConversionError(f"Expected the converter to make {expected}, got {got}. Report this with the model.")
