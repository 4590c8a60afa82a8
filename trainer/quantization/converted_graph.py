"""Reads models made by TensorFlow Lite's converter: types of tensors, and the layers behind each operation."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime.types import TensorSpec

OUTPUT = "output"
"""Stands for the network's output layer, whose name the converter does not keep."""

# enum TensorType of TensorFlow Lite's schema.fbs
_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}


@dataclass(frozen=True)
class Operation:
    """One operation of a calibrated model.

    Attributes:
        tensor: Name of its output tensor, which identifies it for the quantizer.
        name: Name of its layer, without the batch normalization and activation that are fused into it.
        layers: Names of all layers that it computes.
    """

    tensor: str
    name: str
    layers: frozenset[str]


def read_flatbuffer(content: bytes) -> Any:
    """Parse a model file into objects of TensorFlow Lite's schema."""
    from tensorflow.lite.tools import flatbuffer_utils

    read: Callable[[bytearray], Any] = flatbuffer_utils.convert_bytearray_to_object
    return read(bytearray(content))


def dtype_of(tensor: Any) -> str:
    """Return the name of a flatbuffer tensor's type."""
    return _DTYPES.get(tensor.type, f"type {tensor.type}")


def dtypes_of(content: bytes, *, inside: bool = False) -> set[str]:
    """Return the types of a model's tensors.

    Args:
        content: Content of the model file.
        inside: If True, inputs and outputs are left out.
    """
    return {
        dtype_of(tensor)
        for graph in read_flatbuffer(content).subgraphs
        for index, tensor in enumerate(graph.tensors)
        if not (inside and index in {*graph.inputs, *graph.outputs})
    }


def count_float_operations(content: bytes) -> int:
    """Count the operations with float32 output, except those that only dequantize."""
    model = read_flatbuffer(content)
    graph = model.subgraphs[0]
    return sum(
        dtype_of(graph.tensors[index]) == "float32" and operation_name(model, operation) != "DEQUANTIZE"
        for operation in graph.operators
        for index in operation.outputs
    )


def operation_name(model: Any, operation: Any) -> str:
    """Return the type of a flatbuffer operation, such as ``"CONV_2D"``, or the name of a custom operation."""
    from tensorflow.lite.tools import flatbuffer_utils

    custom = model.operatorCodes[operation.opcodeIndex].customCode
    return custom.decode() if custom else str(flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex))


def tensor_specs(content: bytes) -> tuple[TensorSpec, TensorSpec]:
    """Return the specifications of a model's first input and first output."""
    graph = read_flatbuffer(content).subgraphs[0]

    def spec(index: int) -> TensorSpec:
        tensor = graph.tensors[index]
        quantization = tensor.quantization
        scaled = quantization is not None and quantization.scale is not None and len(quantization.scale) == 1
        return TensorSpec(
            dtype=dtype_of(tensor),
            shape=tuple(int(n) for n in tensor.shape),
            scale=float(quantization.scale[0]) if scaled else 0.0,
            zero_point=int(quantization.zeroPoint[0]) if scaled else 0,
        )

    return spec(graph.inputs[0]), spec(graph.outputs[0])


def operations_of(calibrated: bytes) -> tuple[Operation, ...]:
    """Return the operations of a model from `calibrate`, in order, with the layers that they compute.

    The converter names an operation's output after all layers that are fused into it, the last one first:
    ``net/relu/Relu6;net/bn/FusedBatchNormV3;net/conv/Conv2D;;net/pad/Pad``.
    """
    graph = read_flatbuffer(calibrated).subgraphs[0]
    outputs = [(index, graph.tensors[index].name.decode()) for op in graph.operators for index in op.outputs]
    paths = [path for _, tensor in outputs for path in tensor.split(";") if "/" in path]
    root = posixpath.commonpath([path.rsplit("/", 2)[0] for path in paths]) if paths else ""

    def layer(path: str) -> str:
        return path.removeprefix(f"{root}/").rpartition("/")[0] or path

    operations = []
    for index, tensor in outputs:
        if index in graph.outputs:
            operations.append(Operation(tensor, OUTPUT, frozenset({OUTPUT})))
        else:
            own = [path for path in tensor.split(";;")[0].split(";") if path]
            layers = frozenset(layer(path) for path in tensor.split(";") if path)
            operations.append(Operation(tensor, layer(own[-1]), layers))
    return tuple(operations)
