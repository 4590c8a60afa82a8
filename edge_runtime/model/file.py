"""Reads a ``.tflite`` file before any interpreter does: checks it whole, and learns how to feed it.

An interpreter trusts its file: tflite-runtime 2.14 ends the process on a truncated one. Here the model's flatbuffer is
walked first, and where the file carries our manifest, its bytes are held against their SHA-256.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, FileIO
from pathlib import Path
from typing import NamedTuple

from edge_runtime.errors import ModelError
from edge_runtime.model.archive import AppendedZip, find_zip
from edge_runtime.model.flatbuffer import FlatBuffer, damaged
from edge_runtime.model.graph import IDENTIFIER, Graph, GraphTensor, Operation, walk_graph
from edge_runtime.model.manifest import FILE_NAME as MANIFEST_NAME
from edge_runtime.model.manifest import Manifest
from edge_runtime.model.metadata import StandardMetadata, read_metadata
from edge_runtime.types import Activation, InputContract, TensorSpec

_CHUNK_BYTES = 1 << 18
_MAX_BYTES = 1 << 31  # a flatbuffer's own limit


@dataclass(frozen=True)
class ModelFile:
    """A model file that was checked, and how its input and output are to be read.

    Attributes:
        path: Of the file.
        size_bytes: Of the whole file.
        model_bytes: Of the model itself, that is of the file before the appended ZIP.
        sha256: Of those bytes.
        input_tensor: The picture.
        output_tensor: The scores.
        output_index: Which of the model's outputs they are.
        labels: One for each class.
        contract: How a picture becomes the input.
        activation: That the network applies to its output.
        manifest: What the trainer wrote; None for a model from elsewhere.
        is_quantized: Whether its convolutions and dense layers work on 8-bit integers.
        operators: Each kind of operation, by name, with its version.
        operations: Of the graph, in their order, with their multiply-adds.
        min_runtime_version: As the converter noted it; empty where it did not.
        thresholds: The least score with which each class counts as there, 0–1, of a model that answers each class by
            itself; empty for all others.
    """

    path: Path
    size_bytes: int
    model_bytes: int
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
    operations: tuple[Operation, ...]
    min_runtime_version: str
    thresholds: tuple[float, ...] = ()


def read_model_file(
    path: str | os.PathLike[str],
    *,
    content: bytes | None = None,
    labels: Sequence[str] | None = None,
    contract: InputContract | None = None,
    activation: Activation | None = None,
) -> ModelFile:
    """Checks a model file and reads what it says of itself.

    What the caller gives goes before the file's manifest, which goes before its standard metadata.

    Args:
        path: Of a ``.tflite`` image classifier: one picture in, one score for each class out.
        content: Of the file, where it was read before (`read_model_content`): it isn't opened again.
        labels: One for each class.
        contract: How a picture becomes the network's input.
        activation: That the network applies to its output.

    Raises:
        ModelError: There is no such file, it is no whole model or no image classifier, or it doesn't say enough and
            the caller doesn't either.
    """
    path = os.fspath(path)
    parts = _read_parts(path, content)
    graph, metadata, manifest = parts.graph, parts.metadata, parts.manifest
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
        path=Path(path),
        size_bytes=parts.size_bytes,
        model_bytes=parts.model_bytes,
        sha256=parts.sha256,
        input_tensor=input_tensor,
        output_tensor=output_tensor,
        output_index=output_index,
        labels=_labels(labels, parts, output_index, output_tensor.shape[-1], path),
        contract=contract,
        activation=activation,
        manifest=manifest,
        is_quantized=graph.is_quantized,
        operators=graph.operators,
        operations=graph.operations,
        min_runtime_version=graph.min_runtime_version,
        thresholds=_thresholds(manifest, activation, output_tensor.shape[-1], path),
    )


def read_model_content(path: str | os.PathLike[str]) -> bytes:
    """Reads a whole file into memory, so that what is checked is what an interpreter gets, whoever writes meanwhile.

    An interpreter that is given a path maps the file, and would run with whatever is written into it later: one that is
    cut short ends the process.

    Raises:
        ModelError: It can't be read, or is larger than a model can be.
    """
    path = os.fspath(path)
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_BYTES:
            raise ModelError(f"Expected a model of at most {_MAX_BYTES >> 30} GiB, got {path} of {size:,} bytes.")
        return file.readall() or b""


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Reads a text file of labels, one a line.

    Raises:
        ModelError: It can't be read.
    """
    try:
        return _split_labels(Path(path).read_bytes())
    except OSError as error:
        raise ModelError(f"Expected a file of labels, one a line, got {path}: {error.strerror}.") from error


def input_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Height and width of a model's input, for a contract to be made from.

    Raises:
        ModelError: As for `read_model_file`.
    """
    path = os.fspath(path)
    _, height, width, _ = _input_tensor(_read_parts(path).graph, path).shape
    return height, width


class _Parts(NamedTuple):
    size_bytes: int
    model_bytes: int
    sha256: str
    graph: Graph
    metadata: StandardMetadata | None
    manifest: Manifest | None
    labels: dict[str, bytes]


def _read_parts(path: str, content: bytes | None = None) -> _Parts:
    """Reads and checks the whole file."""
    if content is not None:
        return _parts_of(content, BytesIO(content), path)
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return _parts_of(b"", file, path)  # nothing can't be mapped
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parts_of(data, file, path)


@contextmanager
def _opened(path: str) -> Iterator[FileIO]:
    try:
        with FileIO(path) as file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"Expected a TensorFlow Lite model file, got {path!r}: {reason}. Check the path.") from error


def _parts_of(data: bytes | mmap.mmap, file: FileIO | BytesIO, path: str) -> _Parts:
    """Of a file's content, which can also be read."""
    if not data:
        raise ModelError(f"Expected a TensorFlow Lite model, but {path} is empty. Copy it again.")
    archive = find_zip(data, path)
    graph = _read_graph(data, archive, path)
    metadata = read_metadata(graph.metadata, path) if graph.metadata else None
    labels = _labels_files(metadata, archive, data, path)
    sha256, manifest = _sha256(file, archive.start), None
    if MANIFEST_NAME in archive.files:
        manifest = Manifest.from_json(archive.read(MANIFEST_NAME, data, path))
        if manifest.model_sha256 != sha256:
            raise damaged(path)
    return _Parts(len(data), archive.start, sha256, graph, metadata, manifest, labels)


def _read_graph(data: bytes | mmap.mmap, archive: AppendedZip, path: str) -> Graph:
    buffer = FlatBuffer(data, archive.start, path)
    if buffer.identifier() != IDENTIFIER:
        raise ModelError(f"Expected a TensorFlow Lite model (it has TFL3 in it), got {path}. Pass a .tflite file.")
    return walk_graph(buffer)


def _labels_files(
    metadata: StandardMetadata | None, archive: AppendedZip, data: bytes | mmap.mmap, path: str
) -> dict[str, bytes]:
    names = {name for name in (metadata.labels_file if metadata else ()) if name in archive.files}
    return {name: archive.read(name, data, path) for name in names}


def _sha256(file: FileIO | BytesIO, length: int) -> str:
    """Hashes by reading, not through the mapping: pages of a mapping would count as this process's memory."""
    digest = hashlib.sha256()
    chunk = memoryview(bytearray(_CHUNK_BYTES))
    while length > 0 and (count := file.readinto(chunk[: min(_CHUNK_BYTES, length)])):
        digest.update(chunk[:count])
        length -= count
    return digest.hexdigest()


def _input_tensor(graph: Graph, path: str) -> TensorSpec:
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


def _output_tensor(graph: Graph, path: str) -> tuple[int, TensorSpec]:
    for index, tensor in enumerate(graph.outputs):
        if len(tensor.shape) == 2 and tensor.shape[0] == 1:
            _check_dtype("output", tensor, path)
            return index, tensor.spec
    shapes = ", ".join(str(tensor.shape) for tensor in graph.outputs) or "none"
    raise ModelError(f"Expected an output of shape (1, classes), got {shapes} in {path}. Use an image classifier.")


def _check_dtype(role: str, tensor: GraphTensor, path: str) -> None:
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


def _thresholds(manifest: Manifest | None, activation: Activation, count: int, path: str) -> tuple[float, ...]:
    thresholds = manifest.thresholds if manifest and activation == "sigmoid" else ()
    if thresholds and (len(thresholds) != count or not all(0 <= threshold <= 1 for threshold in thresholds)):
        raise ModelError(
            f"Expected {count} thresholds from 0 to 1 for {count} outputs, got {len(thresholds)} in {path}: "
            f"{', '.join(f'{threshold:g}' for threshold in thresholds[:8])}. Export the model again."
        )
    return thresholds


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
        found = _split_labels(parts.labels[name])
    if len(found) != count:
        raise ModelError(
            f"Expected {count} labels for {count} outputs, got {len(found)} in {path}. "
            "Export the model again, or pass labels=."
        )
    return found


def _split_labels(content: bytes) -> tuple[str, ...]:
    return tuple(line.strip() for line in content.decode("utf-8-sig", "replace").rstrip().split("\n"))
