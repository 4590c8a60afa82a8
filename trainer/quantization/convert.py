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
from trainer.quantization.tflite_converter import Network as Network  # re-exported for callers of this module

if TYPE_CHECKING:
    from numpy.typing import NDArray

_INTEGERS = {"int8", "uint8", "int32", "int64", "bool"}
# With dynamic-range quantization, the converter leaves kernels with fewer weights in float32.
_DYNAMIC_RANGE_ELEMENTS = 1024


def convert_fp32(model: Network) -> bytes:
    """Convert a network to a float32 model with batch size 1.

    Args:
        model: Network from normalized pictures, float32 (N, height, width, channels), to scores (N, classes).

    Raises:
        ConversionError: The converter failed or made a model with other types.
    """
    content = convert(model, {})
    _require_io(content, "float32")
    return content


def convert_float16(model: Network) -> bytes:
    """Convert a network to float16 weights: half the size of float32, with the same computation and speed.

    Args:
        model: Network as for `convert_fp32`.

    Raises:
        ConversionError: The converter failed or made a model with other types.
    """
    import tensorflow as tf

    target = tf.lite.TargetSpec(supported_types=[tf.float16])
    content = convert(model, {"optimizations": [tf.lite.Optimize.DEFAULT], "target_spec": target})
    _require_io(content, "float32")
    _require_kernels(content, "float16")
    return content


def convert_dynamic_range(model: Network) -> bytes:
    """Convert a network to int8 kernels; activations stay float32 and are quantized dynamically for each picture.

    The converter leaves kernels of fewer than 1,024 weights in float32. The kernel of a dense layer has one scale for
    all outputs, because tflite-runtime 2.14 cannot load the per-channel dense layers of TensorFlow 2.17 and later.

    Args:
        model: Network as for `convert_fp32`.

    Raises:
        ConversionError: The converter failed or made a model with other types.
    """
    import tensorflow as tf

    content = convert(model, {"optimizations": [tf.lite.Optimize.DEFAULT], **ONE_SCALE_FOR_DENSE})
    _require_io(content, "float32")
    _require_kernels(content, "int8", smallest=_DYNAMIC_RANGE_ELEMENTS)
    return content


def convert_int8(
    model: Network,
    images: NDArray[np.uint8],
    *,
    contract: InputContract,
    io: Literal["int8", "uint8"] = "int8",
    float_layers: Sequence[str] = (),
) -> bytes:
    """Quantize a network after training, to integer operations only (Jacob et al., 2018) and convolutions per channel.

    Args:
        model: Network as for `convert_fp32`.
        images: Representative dataset, uint8 (N, height, width, channels) in the contract's channel order, 0–255.
        contract: Mean and standard deviation that the network was trained with.
        io: dtype of the input and output tensors.
        float_layers: Names of layers to keep in float, as in `trainer.quantization.layer_errors`, together with the
            layers that are fused with them.

    Raises:
        ConversionError: There are no images, a name in ``float_layers`` is unknown, the converter failed, or other
            layers stayed in float.
    """
    calibrated = calibrate(model, images, contract=contract)
    in_float = _outputs_of(calibrated, float_layers)
    content = quantize_calibrated(calibrated, io=io, float_tensors=in_float)
    check_int8(content, contract=contract, io=io, float_operations=len(in_float))
    return content


def convert_int16(model: Network, images: NDArray[np.uint8], *, contract: InputContract) -> bytes:
    """Quantize a network after training to int16 activations and int8 weights (TensorFlow Lite's 16×8 scheme).

    For networks whose activations need more than 8 bits. The file is no smaller than INT8's, and XNNPACK does not
    support the scheme: MobileNetV2 0.35 at 96 px takes 11 ms on x86, compared with 0.4 ms in INT8.

    Args:
        model: Network as for `convert_fp32`.
        images: Representative dataset, uint8 (N, height, width, channels), as for `convert_int8`.
        contract: Input contract as for `convert_int8`.

    Returns:
        A model with float32 input and output and integer tensors inside.

    Raises:
        ConversionError: There are no images, the converter failed, or layers stayed in float.
    """
    ops_set = "EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"
    content = convert(model, calibration_settings(model, images, contract, ops_set))
    _require_io(content, "float32")
    inside = dtypes_of(content, inside=True)
    _require("int16" in inside, f"a model without int16 tensors, with {', '.join(sorted(inside))} only")
    _require_only(inside, _INTEGERS | {"int16"})
    return content


def check_int8(
    content: bytes, *, contract: InputContract, io: Literal["int8", "uint8"], float_operations: int = 0
) -> None:
    """Check that a model is all integer and that its input is the pixels as they are (uint8) or minus 128 (int8).

    Args:
        content: Content of the model file.
        contract: Input contract of the model.
        io: dtype of its input and output tensors.
        float_operations: Exact number of operations that must be in float instead.

    Raises:
        ConversionError: The model fails the check.
    """
    _require_io(content, io)
    # Some failures are silent: an empty representative dataset, for one, gives a model that computes in float.
    _require_only(dtypes_of(content), _INTEGERS | ({"float32"} if float_operations else set()))
    count = count_float_operations(content)
    _require(count == float_operations, f"a model with {count} float operations instead of {float_operations}")
    mean, std = contract.mean, contract.std
    if len(set(mean)) == 1 and len(set(std)) == 1:
        spec = tensor_specs(content)[0]
        exact = np.arange(256) - (128 if io == "int8" else 0)
        stored = pixel_table(contract, spec)[:, 0].astype(np.int64)
        _require(
            bool((stored == exact).all()),
            f"an input with scale {spec.scale} and zero point {spec.zero_point}, which does not hold the exact pixels"
            f"{' minus 128' if io == 'int8' else ''}",
            cure="Calibrate with pictures that reach 0 and 255.",
        )


def _outputs_of(calibrated: bytes, layers: Sequence[str]) -> list[str]:
    """Names of the output tensors of all operations that contain one of these layers."""
    operations = operations_of(calibrated)
    unknown = set(layers).difference(*(operation.layers for operation in operations))
    if unknown:
        known = ", ".join(operation.name for operation in operations)
        raise ConversionError(
            f"float_layers names {', '.join(sorted(unknown))}, not found in the network. Its layers are {known}."
        )
    return [operation.tensor for operation in operations if not operation.layers.isdisjoint(layers)]


def _require_kernels(content: bytes, dtype: str, *, smallest: int = 1) -> None:
    """Check that no kernel of ``smallest`` weights or more is still float32."""
    model = read_flatbuffer(content)
    kept = [
        tensor.name.decode()
        for tensor in model.subgraphs[0].tensors
        if dtype_of(tensor) == "float32"
        and len(tensor.shape) > 1
        and model.buffers[tensor.buffer].data is not None
        and np.prod(tensor.shape) >= smallest
    ]
    _require(not kept, f"float32 instead of {dtype} kernels in {', '.join(kept)}")


def _require_io(content: bytes, dtype: str) -> None:
    for role, spec in zip(("input", "output"), tensor_specs(content), strict=True):
        _require(spec.dtype == dtype, f"a model whose {role} is {spec.dtype} instead of {dtype}")


def _require_only(found: set[str], allowed: set[str]) -> None:
    _require(found <= allowed, f"a model with {', '.join(sorted(found - allowed))} tensors instead of only integers")


def _require(condition: bool, made: str, cure: str = "Report this as a bug and attach the network.") -> None:
    if not condition:
        raise ConversionError(f"The converter made {made}. {cure}")
