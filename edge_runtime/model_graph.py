"""Walks a model's flatbuffer as an interpreter would, and checks that its parts hold together.

Slots are those of TensorFlow Lite's ``schema.fbs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from edge_runtime.flatbuffer import FlatBuffer, Table, damaged
from edge_runtime.metadata import ENTRY_NAME as METADATA_ENTRY
from edge_runtime.types import Activation, TensorSpec

IDENTIFIER = b"TFL3"

# enum TensorType of the schema: name and bits of an element; 0 bits: not checked.
_TENSOR_TYPES = {
    0: ("float32", 32),
    1: ("float16", 16),
    2: ("int32", 32),
    3: ("uint8", 8),
    4: ("int64", 64),
    6: ("bool", 8),
    7: ("int16", 16),
    9: ("int8", 8),
    10: ("float64", 64),
    15: ("uint32", 32),
    16: ("uint16", 16),
    17: ("int4", 4),
}
# enum BuiltinOperator of the schema, as far as image classifiers use it; others are told by their number.
_OPERATORS = {
    0: "ADD",
    1: "AVERAGE_POOL_2D",
    2: "CONCATENATION",
    3: "CONV_2D",
    4: "DEPTHWISE_CONV_2D",
    6: "DEQUANTIZE",
    9: "FULLY_CONNECTED",
    14: "LOGISTIC",
    17: "MAX_POOL_2D",
    18: "MUL",
    19: "RELU",
    21: "RELU6",
    22: "RESHAPE",
    23: "RESIZE_BILINEAR",
    25: "SOFTMAX",
    28: "TANH",
    32: "CUSTOM",
    34: "PAD",
    40: "MEAN",
    41: "SUB",
    42: "DIV",
    43: "SQUEEZE",
    45: "STRIDED_SLICE",
    49: "SPLIT",
    54: "PRELU",
    74: "SUM",
    77: "SHAPE",
    83: "PACK",
    98: "LEAKY_RELU",
    99: "SQUARED_DIFFERENCE",
    114: "QUANTIZE",
    117: "HARD_SWISH",
    150: "GELU",
}
_WITH_WEIGHTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_LOOK_THROUGH = {"RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"}
_ACTIVATIONS: dict[str, Activation] = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}


class GraphTensor(NamedTuple):
    """A tensor of the graph.

    ``type`` is the schema's number, ``signature`` has -1 for open dimensions; ``scales`` and ``zero_points`` are empty
    where there is one for each channel.
    """

    type: int
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @property
    def spec(self) -> TensorSpec:
        """What the runtime has to know of it."""
        dtype, _ = _TENSOR_TYPES.get(self.type, (f"type {self.type}", 0))
        if dtype in ("int8", "uint8") and len(self.scales) == 1:
            return TensorSpec(dtype, self.shape, self.scales[0], self.zero_points[0] if self.zero_points else 0)
        return TensorSpec(dtype, self.shape)


class Operation(NamedTuple):
    """An operation of the graph: what it is called, and its multiply-adds; 0 where it has no weights."""

    name: str
    macs: int


class Graph(NamedTuple):
    """What is known of a model's main graph; as in `edge_runtime.model_file.ModelFile`."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    activations: tuple[Activation, ...]
    is_quantized: bool
    operators: tuple[tuple[str, int], ...]
    operations: tuple[Operation, ...]
    min_runtime_version: str
    metadata: bytes


def walk_graph(buffer: FlatBuffer) -> Graph:
    """Visits all that an interpreter would follow."""
    model = buffer.root()
    codes = [_operator_code(code) for code in model.tables(1)]
    spans = [_buffer_span(table, buffer) for table in model.tables(4)]
    entries: dict[str, bytes] = {}
    for entry in model.tables(6):
        start, length = _at(spans, entry.scalar(1, "I"), buffer)
        # The converter may write an entry twice, the second time empty.
        content = bytes(buffer.data[start : start + length])
        if content.strip(b"\0"):
            entries.setdefault(entry.text(0), content)
    graphs = [_walk_subgraph(graph, codes, spans, buffer) for graph in model.tables(2)]
    if not graphs:
        raise damaged(buffer.name)
    return graphs[0]._replace(
        min_runtime_version=entries.get("min_runtime_version", b"").split(b"\0")[0].decode("ascii", "replace"),
        metadata=entries.get(METADATA_ENTRY, b""),
    )


def _operator_code(code: Table) -> tuple[str, int]:
    # The first 127 operators stand in the older, 8-bit field; the larger of the two is meant.
    builtin = max(code.scalar(0, "b"), code.scalar(3, "i"))
    name = code.text(1) if builtin == 32 else ""
    return name or _OPERATORS.get(builtin, f"BUILTIN_{builtin}"), code.scalar(2, "i", 1)


def _buffer_span(table: Table, buffer: FlatBuffer) -> tuple[int, int]:
    offset, length = table.scalar(1, "Q"), table.scalar(2, "Q")
    if offset > 1:  # a large model's data, behind the flatbuffer
        buffer.check(offset, length)
        return offset, length
    return table.span(0)


def _at(items: Sequence[tuple[int, int]], index: int, buffer: FlatBuffer) -> tuple[int, int]:
    if not 0 <= index < len(items):
        raise damaged(buffer.name)
    return items[index]


def _walk_subgraph(
    graph: Table, codes: list[tuple[str, int]], spans: list[tuple[int, int]], buffer: FlatBuffer
) -> Graph:
    tensors = [_tensor(table, spans, buffer) for table in graph.tables(0)]
    inputs, outputs = graph.integers(1), graph.integers(2)
    producers: dict[int, tuple[str, int]] = {}
    is_quantized = False
    operations: list[Operation] = []
    known = range(len(tensors))
    for operator in graph.tables(3):
        index = operator.scalar(0, "I")
        if index >= len(codes):
            raise damaged(buffer.name)
        name = codes[index][0]
        sources, results = operator.integers(1), operator.integers(2)
        operator.table(4)
        operator.span(5)
        if any(i not in known for i in results) or any(i not in known and i != -1 for i in sources):
            raise damaged(buffer.name)
        first = sources[0] if sources else -1
        operations.append(
            Operation(name, _macs(name, [tensors[i].shape for i in (*sources[1:2], *results[:1]) if i >= 0]))
        )
        producers.update((result, (name, first)) for result in results)
        if name in _WITH_WEIGHTS and first >= 0 and tensors[first].spec.is_quantized:
            is_quantized = True
    if any(i not in known for i in (*inputs, *outputs)):
        raise damaged(buffer.name)
    return Graph(
        inputs=tuple(tensors[i] for i in inputs),
        outputs=tuple(tensors[i] for i in outputs),
        activations=tuple(_activation(i, producers) for i in outputs),
        is_quantized=is_quantized,
        operators=tuple(codes),
        operations=tuple(operations),
        min_runtime_version="",
        metadata=b"",
    )


def _macs(name: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Multiply-adds of an operation with these weights and this output; its input is as wide as the weights say."""
    if name not in _WITH_WEIGHTS or len(shapes) != 2 or not shapes[0]:
        return 0
    weights, output = shapes
    # Convolutions have weights (out, height, width, in), depthwise (1, height, width, out), dense layers (out, in).
    channels = weights[-1] if name == "DEPTHWISE_CONV_2D" else weights[0]
    return prod(output) * prod(weights) // channels if channels else 0


def _tensor(table: Table, spans: list[tuple[int, int]], buffer: FlatBuffer) -> GraphTensor:
    shape, kind = table.integers(0), table.scalar(1, "b")
    table.span(3)
    _, length = _at(spans, table.scalar(2, "I"), buffer)
    bits = _TENSOR_TYPES.get(kind, ("", 0))[1]
    # A tensor with data is a constant, and its data has to fill it; sparse ones are stored in fewer bytes.
    if any(n < 0 for n in shape) or (length and bits and not table.has(6) and (prod(shape) * bits + 7) // 8 != length):
        raise damaged(buffer.name)
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantization = table.table(4)
    if quantization is not None:
        (_, scale_count), (_, zero_point_count) = quantization.span(2, 4), quantization.span(3, 8)
        axis = quantization.scalar(6, "i")
        if zero_point_count not in (0, scale_count):
            raise damaged(buffer.name)
        if scale_count > 1 and not (0 <= axis < len(shape) and shape[axis] == scale_count):
            raise damaged(buffer.name)
        if scale_count == 1:  # those of weights, one for each channel, are the interpreter's business
            scales, zero_points = quantization.floats(2), quantization.integers(3, 8)
    return GraphTensor(kind, shape, table.integers(7), scales, zero_points)


def _activation(tensor: int, producers: dict[int, tuple[str, int]]) -> Activation:
    for _ in range(len(producers)):
        name, source = producers.get(tensor, ("", -1))
        if name not in _LOOK_THROUGH:
            return _ACTIVATIONS.get(name, "none")
        tensor = source
    return "none"
