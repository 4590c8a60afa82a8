"""Reads models that TensorFlow Lite's converter made: types of tensors, and which layers became which operation."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edge_runtime.types import TensorSpec

OUTPUT = "output"
"""Stands for the layer that gives the network's output, whose name the converter doesn't keep."""

# enum TensorType of TensorFlow Lite's schema.fbs
_DTYPES = {0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 6: "bool", 7: "int16", 9: "int8"}


@dataclass(frozen=True)
class Operation:
    """One operation of a calibrated model.

    Attributes:
        tensor: Name of its output, by which the quantizer knows it.
        name: Of the layer that it computes, without the batch normalization and activation that are fused into it.
        layers: Names of all the layers in it.
    """

    tensor: str
    name: str
    layers: frozenset[str]


def read_flatbuffer(content: bytes) -> Any:
    """A model as objects of TensorFlow Lite's schema."""
    from tensorflow.lite.tools import flatbuffer_utils

    read: Callable[[bytearray], Any] = flatbuffer_utils.convert_bytearray_to_object
    return read(bytearray(content))


def dtype_of(tensor: Any) -> str:
    """Name of the type of one of a flatbuffer's tensors."""
    return _DTYPES.get(tensor.type, f"type {tensor.type}")


def dtypes_of(content: bytes, *, inside: bool = False) -> set[str]:
    """The types that a model's tensors have.

    Args:
        content: The model.
        inside: Leaves its inputs and outputs out.
    """
    return {
        dtype_of(tensor)
        for graph in read_flatbuffer(content).subgraphs
        for index, tensor in enumerate(graph.tensors)
        if not (inside and index in {*graph.inputs, *graph.outputs})
    }


def count_float_operations(content: bytes) -> int:
    """Operations that give float32, without those that only turn integers into it."""
    model = read_flatbuffer(content)
    graph = model.subgraphs[0]
    return sum(
        dtype_of(graph.tensors[index]) == "float32" and operation_name(model, operation) != "DEQUANTIZE"
        for operation in graph.operators
        for index in operation.outputs
    )


def operation_name(model: Any, operation: Any) -> str:
    """The kind of one of a flatbuffer's operations, such as ``"CONV_2D"``; a custom operation's own name."""
    from tensorflow.lite.tools import flatbuffer_utils

    custom = model.operatorCodes[operation.opcodeIndex].customCode
    return custom.decode() if custom else str(flatbuffer_utils.opcode_to_name(model, operation.opcodeIndex))


def tensor_specs(content: bytes) -> tuple[TensorSpec, TensorSpec]:
    """A model's first input and first output."""
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
    """The operations of what `calibrate` made, in order, with the layers that they came from.

    The converter names an operation's output after all that was fused into it, the last layer first:
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
