"""Reads a ``.tflite`` file before any interpreter does: checks it whole, and learns how to feed it.

An interpreter trusts its file: tflite-runtime 2.14 ends the process on a truncated one. Here the model's flatbuffer is
walked first (slots are those of TensorFlow Lite's ``schema.fbs``), and where the file carries our manifest, its bytes
are held against their SHA-256.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import RawIOBase
from math import prod
from pathlib import Path
from typing import NamedTuple

from edge_runtime.appended_zip import AppendedZip, find_zip
from edge_runtime.errors import ModelError
from edge_runtime.flatbuffer import FlatBuffer, Table, damaged
from edge_runtime.manifest import FILE_NAME as MANIFEST_NAME
from edge_runtime.manifest import Manifest
from edge_runtime.metadata import ENTRY_NAME as METADATA_ENTRY
from edge_runtime.metadata import StandardMetadata, read_metadata
from edge_runtime.types import Activation, InputContract, TensorSpec

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
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class ModelFile:
    """A model file that was checked, and how its input and output are to be read.

    Attributes:
        path: Of the file.
        size_bytes: Of the whole file.
        sha256: Of the model's bytes, that is of the file before the appended ZIP.
        input_tensor: The picture.
        output_tensor: The scores.
        output_index: Which of the model's outputs they are.
        labels: One for each class.
        contract: How a picture becomes the input.
        activation: That the network applies to its output.
        manifest: What the trainer wrote; None for a model from elsewhere.
        is_quantized: Whether its convolutions and dense layers work on 8-bit integers.
        operators: Each kind of operation, by name, with its version.
        operator_count: Operations in the graph.
        min_runtime_version: As the converter noted it; empty where it did not.
    """

    path: str
    size_bytes: int
    sha256: str
    input_tensor: TensorSpec
    output_tensor: TensorSpec
    output_index: int
    labels: tuple[str, ...]
    contract: InputContract
    activation: Activation
    manifest: Manifest | None
    is_quantized: bool
    operators: tuple[tuple[str, int], ...]
    operator_count: int
    min_runtime_version: str


def read_model_file(
    path: str | os.PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    contract: InputContract | None = None,
    activation: Activation | None = None,
) -> ModelFile:
    """Checks a model file and reads what it says of itself.

    What the caller gives goes before the file's manifest, which goes before its standard metadata.

    Args:
        path: Of a ``.tflite`` image classifier: one picture in, one score for each class out.
        labels: One for each class.
        contract: How a picture becomes the network's input.
        activation: That the network applies to its output.

    Raises:
        ModelError: There is no such file, it is no whole model or no image classifier, or it doesn't say enough and
            the caller doesn't either.
    """
    path = os.fspath(path)
    try:
        with Path(path).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise ModelError(f"Expected a TensorFlow Lite model, but {path} is empty. Copy it again.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                parts = _read_parts(data, path)
            sha256 = _sha256(file, parts.model_bytes)
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"Expected a TensorFlow Lite model file, got {path!r}: {reason}. Check the path.") from error
    graph, metadata, manifest = parts.graph, parts.metadata, parts.manifest
    if manifest is not None and manifest.model_sha256 != sha256:
        raise damaged(path)
    input_tensor = _input_tensor(graph, path)
    output_index, output_tensor = _output_tensor(graph, path)
    if contract is None:
        contract = manifest.input if manifest else _contract(metadata, input_tensor, path)
    _check_contract(contract, input_tensor, path)
    if activation is None:
        activation = manifest.activation if manifest else graph.activations[output_index]
    if activation not in ("softmax", "sigmoid", "none"):
        raise ModelError(f"Expected activation to be softmax, sigmoid or none, got {activation!r} for {path}.")
    return ModelFile(
        path=path,
        size_bytes=size,
        sha256=sha256,
        input_tensor=input_tensor,
        output_tensor=output_tensor,
        output_index=output_index,
        labels=_labels(labels, parts, output_index, output_tensor.shape[-1], path),
        contract=contract,
        activation=activation,
        manifest=manifest,
        is_quantized=graph.is_quantized,
        operators=graph.operators,
        operator_count=graph.operator_count,
        min_runtime_version=graph.min_runtime_version,
    )


class _Tensor(NamedTuple):
    type: int
    shape: tuple[int, ...]
    signature: tuple[int, ...]
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]

    @property
    def spec(self) -> TensorSpec:
        dtype, _ = _TENSOR_TYPES.get(self.type, (f"type {self.type}", 0))
        if dtype in ("int8", "uint8") and len(self.scales) == 1:
            return TensorSpec(dtype, self.shape, self.scales[0], self.zero_points[0] if self.zero_points else 0)
        return TensorSpec(dtype, self.shape)


class _Graph(NamedTuple):
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]
    activations: tuple[Activation, ...]
    is_quantized: bool
    operators: tuple[tuple[str, int], ...]
    operator_count: int
    min_runtime_version: str
    metadata: bytes


class _Parts(NamedTuple):
    model_bytes: int
    graph: _Graph
    metadata: StandardMetadata | None
    manifest: Manifest | None
    labels: dict[str, bytes]


def _read_parts(data: mmap.mmap, path: str) -> _Parts:
    """Reads what is needed from the mapped file; nothing returned refers to the mapping."""
    archive = find_zip(data, path)
    buffer = FlatBuffer(data, archive.start, path)
    if buffer.identifier() != IDENTIFIER:
        raise ModelError(f"Expected a TensorFlow Lite model (it has TFL3 in it), got {path}. Pass a .tflite file.")
    graph = _walk(buffer)
    metadata = read_metadata(graph.metadata, path) if graph.metadata else None
    manifest = Manifest.from_json(archive.read(MANIFEST_NAME, data, path)) if MANIFEST_NAME in archive.files else None
    return _Parts(archive.start, graph, metadata, manifest, _labels_files(metadata, archive, data, path))


def _labels_files(
    metadata: StandardMetadata | None, archive: AppendedZip, data: mmap.mmap, path: str
) -> dict[str, bytes]:
    names = {name for name in (metadata.labels_file if metadata else ()) if name in archive.files}
    return {name: archive.read(name, data, path) for name in names}


def _walk(buffer: FlatBuffer) -> _Graph:
    """Visits all that an interpreter would follow."""
    model = buffer.root()
    codes = [_operator_code(code) for code in model.tables(1)]
    spans = [_buffer_span(table, buffer) for table in model.tables(4)]
    entries = {}
    for entry in model.tables(6):
        start, length = _at(spans, entry.scalar(1, "I"), buffer)
        entries[entry.text(0)] = bytes(buffer.data[start : start + length])
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
) -> _Graph:
    tensors = [_tensor(table, spans, buffer) for table in graph.tables(0)]
    inputs, outputs = graph.integers(1), graph.integers(2)
    producers: dict[int, tuple[str, int]] = {}
    is_quantized = False
    operators = graph.tables(3)
    known = range(len(tensors))
    for operator in operators:
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
        producers.update((result, (name, first)) for result in results)
        if name in _WITH_WEIGHTS and first >= 0 and tensors[first].spec.is_quantized:
            is_quantized = True
    if any(i not in known for i in (*inputs, *outputs)):
        raise damaged(buffer.name)
    return _Graph(
        inputs=tuple(tensors[i] for i in inputs),
        outputs=tuple(tensors[i] for i in outputs),
        activations=tuple(_activation(i, producers) for i in outputs),
        is_quantized=is_quantized,
        operators=tuple(codes),
        operator_count=len(operators),
        min_runtime_version="",
        metadata=b"",
    )


def _tensor(table: Table, spans: list[tuple[int, int]], buffer: FlatBuffer) -> _Tensor:
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
        scales, zero_points = quantization.floats(2), quantization.integers(3, 8)
        axis = quantization.scalar(6, "i")
        if len(zero_points) not in (0, len(scales)):
            raise damaged(buffer.name)
        if len(scales) > 1 and not (0 <= axis < len(shape) and shape[axis] == len(scales)):
            raise damaged(buffer.name)
    return _Tensor(kind, shape, table.integers(7), scales, zero_points)


def _activation(tensor: int, producers: dict[int, tuple[str, int]]) -> Activation:
    for _ in range(len(producers)):
        name, source = producers.get(tensor, ("", -1))
        if name not in _LOOK_THROUGH:
            return _ACTIVATIONS.get(name, "none")
        tensor = source
    return "none"


def _sha256(file: RawIOBase, length: int) -> str:
    """Hashes by reading, not through the mapping: pages of a mapping would count as this process's memory."""
    digest = hashlib.sha256()
    chunk = memoryview(bytearray(_CHUNK_BYTES))
    while length > 0 and (count := file.readinto(chunk[: min(_CHUNK_BYTES, length)])):
        digest.update(chunk[:count])
        length -= count
    return digest.hexdigest()


def _input_tensor(graph: _Graph, path: str) -> TensorSpec:
    if len(graph.inputs) != 1:
        raise ModelError(
            f"Expected an image classifier with one input, got {len(graph.inputs)} in {path}. Use another model."
        )
    tensor = graph.inputs[0]
    spec, shape = tensor.spec, tensor.shape
    fixed = len(tensor.signature) != 4 or tensor.signature[1:] == shape[1:]
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or min(shape) < 1 or not fixed:
        raise ModelError(
            f"Expected an input of shape (1, height, width, 3) or (1, height, width, 1), "
            f"got {tensor.signature or shape} in {path}. Use an image classifier of a fixed size."
        )
    _check_dtype("input", tensor, path)
    return spec


def _output_tensor(graph: _Graph, path: str) -> tuple[int, TensorSpec]:
    for index, tensor in enumerate(graph.outputs):
        if len(tensor.shape) == 2 and tensor.shape[0] == 1:
            _check_dtype("output", tensor, path)
            return index, tensor.spec
    shapes = ", ".join(str(tensor.shape) for tensor in graph.outputs) or "none"
    raise ModelError(f"Expected an output of shape (1, classes), got {shapes} in {path}. Use an image classifier.")


def _check_dtype(role: str, tensor: _Tensor, path: str) -> None:
    spec = tensor.spec
    if spec.dtype != "float32" and not (spec.is_quantized and spec.scale > 0):
        raise ModelError(
            f"Expected a float32, int8 or uint8 {role} with its quantization, got {spec.dtype} in {path}. "
            "Convert the model again."
        )


def _contract(metadata: StandardMetadata | None, tensor: TensorSpec, path: str) -> InputContract:
    """The contract of a model from elsewhere: what its standard metadata says, and TensorFlow's usual resize."""
    _, height, width, channels = tensor.shape
    mean = metadata.mean if metadata else ()
    std = metadata.std if metadata else ()
    if tensor.dtype == "uint8" and metadata is not None and (mean or metadata.is_image):
        # Programs that follow the standard give such a network its pixels as they are.
        mean, std = (float(tensor.zero_point),), (1.0 / tensor.scale,)
    if not mean or not std:
        raise ModelError(
            f"Expected {path} to say how its input is normalized, but it carries no such metadata. "
            f"Pass contract=InputContract(height={height}, width={width}, mean=(...), std=(...))."
        )
    color: str = "gray" if channels == 1 or (metadata is not None and metadata.is_gray) else "rgb"
    try:
        return InputContract(height, width, color, "stretch", "linear", mean, std)  # type: ignore[arg-type]
    except ValueError as error:
        raise ModelError(f"Expected usable normalization in the metadata of {path}. {error} Pass contract=.") from error


def _check_contract(contract: InputContract, tensor: TensorSpec, path: str) -> None:
    expected, got = tensor.shape[1:], (contract.height, contract.width, contract.channels)
    if expected != got:
        raise ModelError(
            f"Expected a contract of height, width and channels {expected}, got {got} for {path}. "
            "Pass contract= with the model's own size, or leave it out."
        )


def _labels(labels: Sequence[str] | None, parts: _Parts, output: int, count: int, path: str) -> tuple[str, ...]:
    if labels is not None:
        found = tuple(labels)
    else:
        named = parts.metadata.labels_file if parts.metadata else ()
        name = named[output] if output < len(named) else ""
        if not name:
            raise ModelError(f"Expected {path} to carry labels, but it has none. Pass labels= with {count} names.")
        if name not in parts.labels:
            raise ModelError(
                f"Expected {name} inside {path}, but the file is truncated or damaged behind the model. "
                f"Copy it again, or pass labels= with {count} names."
            )
        found = tuple(parts.labels[name].decode("utf-8", "replace").rstrip("\r\n").splitlines())
    if len(found) != count:
        raise ModelError(
            f"Expected {count} labels for {count} outputs, got {len(found)} in {path}. "
            "Export the model again, or pass labels=."
        )
    return found
