"""Read a model's graph from its flatbuffer and check that it is consistent, before an interpreter relies on it.

Slots are those of TensorFlow Lite's ``schema.fbs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from edge_runtime.errors import ModelError
from edge_runtime.model.flatbuffer import FlatBuffer, Table, damaged
from edge_runtime.model.metadata import ENTRY_NAME as METADATA_ENTRY
from edge_runtime.model.operators import OPERATORS, Operator, unknown_operator
from edge_runtime.types import Activation, TensorSpec

IDENTIFIER = b"TFL3"
_LEAST_SCALE = 1e-30  # kernels abort the process on a scale that is almost zero
_MAX_BYTES = 1 << 28  # all computed tensors together; those of an image classifier take a few MiB

# enum TensorType of the schema: name and bits per element. The size of other types is not checked.
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
_WITH_WEIGHTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
_LOOK_THROUGH = {"RESHAPE", "SQUEEZE", "QUANTIZE", "DEQUANTIZE"}
_ACTIVATIONS: dict[str, Activation] = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}


class GraphTensor(NamedTuple):
    """Tensor of the graph.

    ``type`` is the number in the schema. ``signature`` is the shape with -1 for dynamic dimensions. ``scales`` and
    ``zero_points`` are empty for per-channel quantization; ``scale_count`` is the number of stored scales.
    """

    type: int
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    scale_count: int
    is_constant: bool
    is_variable: bool

    @property
    def bytes(self) -> int:
        """Size of the tensor's values in bytes."""
        return (prod(self.shape) * _TENSOR_TYPES.get(self.type, ("", 64))[1] + 7) // 8

    @property
    def lacks_scale(self) -> bool:
        """Whether the tensor holds 8-bit integers without a quantization scale."""
        return _TENSOR_TYPES.get(self.type, ("", 0))[0] in ("int8", "uint8") and self.scale_count == 0

    @property
    def spec(self) -> TensorSpec:
        """Data type, shape and quantization of the tensor."""
        dtype, _ = _TENSOR_TYPES.get(self.type, (f"type {self.type}", 0))
        if dtype in ("int8", "uint8") and len(self.scales) == 1:
            return TensorSpec(dtype, self.shape, self.scales[0], self.zero_points[0] if self.zero_points else 0)
        return TensorSpec(dtype, self.shape)


class Operation(NamedTuple):
    """Operation of the graph: its name and its number of multiply-adds, which is 0 without weights."""

    name: str
    macs: int


class Graph(NamedTuple):
    """Main graph of a model; see `edge_runtime.model.file.ModelFile` for the fields."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
    activations: tuple[Activation, ...]
    is_quantized: bool
    operators: tuple[tuple[str, int], ...]
    operations: tuple[Operation, ...]
    tensor_count: int
    min_runtime_version: str
    metadata: bytes


def walk_graph(buffer: FlatBuffer) -> Graph:
    """Read the main graph, checking every part of the model that an interpreter follows.

    Raises:
        ModelError: The model is damaged, its tensors take more than 256 MiB, or its operations do not fit together.
    """
    model = buffer.root()
    codes = [_operator_code(code) for code in model.tables(1)]
    spans = [_buffer_span(table, buffer) for table in model.tables(4)]
    entries: dict[str, bytes] = {}
    for entry in model.tables(6):
        start, length = _at(spans, entry.scalar(1, "I"), buffer)
        # The converter may write an entry twice and leave the second one empty.
        content = bytes(buffer.data[start : start + length])
        name = entry.text(0)
        if content.strip(b"\0"):
            entries.setdefault(name, content)
    graphs = [_walk_subgraph(graph, codes, spans, buffer) for graph in model.tables(2)]
    if not graphs:
        raise damaged(buffer.name)
    model.span(3)  # the description
    model.span(5, 4)  # the metadata's buffers, in older files
    for signature in model.tables(7):
        signature.span(2)
        for slot in (0, 1):
            for named in signature.tables(slot):
                named.span(0)
                if signature.scalar(4, "I") >= len(graphs) or named.scalar(1, "I") >= graphs[0].tensor_count:
                    raise damaged(buffer.name)
    return graphs[0]._replace(
        min_runtime_version=entries.get("min_runtime_version", b"").split(b"\0")[0].decode("ascii", "replace"),
        metadata=entries.get(METADATA_ENTRY, b""),
    )


def _operator_code(code: Table) -> tuple[Operator, int]:
    # The first 127 operators may be stored in the older 8-bit field. The larger of the two values is valid.
    builtin = max(code.scalar(0, "b"), code.scalar(3, "i"))
    known = OPERATORS.get(builtin) or unknown_operator(builtin)
    custom = code.text(1) if known.name == "CUSTOM" else ""
    return known._replace(name=custom) if custom else known, code.scalar(2, "i", 1)


def _buffer_span(table: Table, buffer: FlatBuffer) -> tuple[int, int]:
    offset, length = table.scalar(1, "Q"), table.scalar(2, "Q")
    if offset > 1:  # large models store their data behind the flatbuffer
        buffer.check(offset, length)
        return offset, length
    return table.span(0)


def _at(items: Sequence[tuple[int, int]], index: int, buffer: FlatBuffer) -> tuple[int, int]:
    if not 0 <= index < len(items):
        raise damaged(buffer.name)
    return items[index]


def _walk_subgraph(
    graph: Table, codes: list[tuple[Operator, int]], spans: list[tuple[int, int]], buffer: FlatBuffer
) -> Graph:
    tensors = [_tensor(table, spans, buffer) for table in graph.tables(0)]
    inputs, outputs = graph.integers(1), graph.integers(2)
    known = range(len(tensors))
    if any(i not in known for i in (*inputs, *outputs)):
        raise damaged(buffer.name)
    if sum(tensor.bytes for tensor in tensors if not tensor.is_constant) > _MAX_BYTES:
        raise ModelError(f"The tensors of {buffer.name} take more than {_MAX_BYTES >> 20} MiB. Use a smaller model.")
    # The interpreter runs the operations in the stored order, so each may read only tensors that exist by then.
    available = {i for i in known if tensors[i].is_constant or tensors[i].is_variable} | set(inputs)
    producers: dict[int, tuple[str, int]] = {}
    is_quantized = False
    operations: list[Operation] = []
    graph.span(4)
    for table in graph.tables(3):
        index = table.scalar(0, "I")
        if index >= len(codes):
            raise damaged(buffer.name)
        operator = codes[index][0]
        sources, results = table.integers(1), table.integers(2)
        table.span(5)
        table.span(6)
        if table.has(8):
            raise damaged(buffer.name)  # intermediate tensors, used by recurrent networks only
        if any(i not in known for i in results) or any(i not in known and i != -1 for i in sources):
            raise damaged(buffer.name)
        problem = operator.problem(sources, len(results), table.scalar(3, "B"), table.table(4))
        if not available.issuperset(i for i in sources if i >= 0):
            problem = "reads a tensor that has not been computed yet"
        elif not available.isdisjoint(results):
            problem = "overwrites an existing tensor"
        problem = problem or _misfit(operator, [tensors[i] if i >= 0 else None for i in sources], tensors[results[0]])
        if problem:
            raise ModelError(
                f"The network in {buffer.name} is invalid: its operation {operator.name} {problem}. "
                "Convert the model again."
            )
        available.update(results)
        first = sources[0] if sources else -1
        shapes = [tensors[i].shape for i in (*sources[1:2], *results[:1]) if i >= 0]
        operations.append(Operation(operator.name, _macs(operator.name, shapes)))
        producers.update((result, (operator.name, first)) for result in results)
        if operator.name in _WITH_WEIGHTS and tensors[first].spec.is_quantized:
            is_quantized = True
    if not available.issuperset(outputs):
        raise damaged(buffer.name)
    return Graph(
        inputs=tuple(tensors[i] for i in inputs),
        outputs=tuple(tensors[i] for i in outputs),
        activations=tuple(_activation(i, producers) for i in outputs),
        is_quantized=is_quantized,
        operators=tuple((operator.name, version) for operator, version in codes),
        operations=tuple(operations),
        tensor_count=len(tensors),
        min_runtime_version="",
        metadata=b"",
    )


def _misfit(operator: Operator, sources: list[GraphTensor | None], result: GraphTensor) -> str:
    """Describe how an operation's tensors do not fit together in ways its kernel does not check; "" if they fit."""
    if operator.name not in _WITH_WEIGHTS:
        return ""
    picture, weights, bias = (*sources, None)[:3]
    if picture is None or weights is None:
        return "lacks a required input"
    rank, channels = (2, 0) if operator.name == "FULLY_CONNECTED" else (4, 3 if operator.name[0] == "D" else 0)
    if len(weights.shape) != rank or (rank == 4 and len(picture.shape) != 4):
        return f"has weights of shape {weights.shape} for an input of shape {picture.shape}"
    if prod(weights.shape) == 0 or prod(picture.shape) == 0:
        return "has an empty tensor"
    if bias is not None and bias.shape != (weights.shape[channels],):
        return f"has a bias of shape {bias.shape} for weights of shape {weights.shape}"
    if any(tensor.lacks_scale for tensor in (picture, weights, result)):
        return "has 8-bit integers without a quantization scale"
    return ""


def _macs(name: str, shapes: Sequence[tuple[int, ...]]) -> int:
    """Return the multiply-adds of an operation from the shapes of its weights and output."""
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
    # A tensor with data is a constant, and its data must have the tensor's size. Sparse tensors, which are stored in
    # fewer bytes, are not supported.
    if any(n < 0 for n in shape) or table.has(6) or (length and bits and (prod(shape) * bits + 7) // 8 != length):
        raise damaged(buffer.name)
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    scale_count = 0
    quantization = table.table(4)
    if quantization is not None:
        (_, scale_count), (_, zero_point_count) = quantization.span(2, 4), quantization.span(3, 8)
        quantization.span(0, 4)  # minima and maxima; checked for their bounds only
        quantization.span(1, 4)
        axis = quantization.scalar(6, "i")
        if zero_point_count not in (0, scale_count):
            raise damaged(buffer.name)
        if scale_count > 1 and not (0 <= axis < len(shape) and shape[axis] == scale_count):
            raise damaged(buffer.name)
        if not all(_LEAST_SCALE <= scale <= 1 / _LEAST_SCALE for scale in quantization.floats(2)):
            raise damaged(buffer.name)
        if scale_count == 1:  # only the interpreter needs the per-channel scales of weights
            scales, zero_points = quantization.floats(2), quantization.integers(3, 8)
    return GraphTensor(
        kind, shape, table.integers(7), scales, zero_points, scale_count, length > 0, bool(table.scalar(5, "B"))
    )


def _activation(tensor: int, producers: dict[int, tuple[str, int]]) -> Activation:
    for _ in range(len(producers)):
        name, source = producers.get(tensor, ("", -1))
        if name not in _LOOK_THROUGH:
            return _ACTIVATIONS.get(name, "none")
        tensor = source
    return "none"
