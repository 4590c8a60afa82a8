"""Read and check a ``.tflite`` file before an interpreter loads it.

An interpreter trusts its model file: tflite-runtime 2.14 aborts the process on a truncated one. The flatbuffer is
therefore checked here first, and so is the SHA-256 of the model if the file carries a manifest.
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
from edge_runtime.model.archive import find_zip
from edge_runtime.model.flatbuffer import FlatBuffer, damaged
from edge_runtime.model.graph import IDENTIFIER, Graph, GraphTensor, Operation, walk_graph
from edge_runtime.model.manifest import FILE_NAME as MANIFEST_NAME
from edge_runtime.model.manifest import Manifest
from edge_runtime.model.metadata import StandardMetadata, read_metadata
from edge_runtime.types import Activation, InputContract, TensorSpec

_CHUNK_BYTES = 1 << 18
_MAX_BYTES = 1 << 31  # limit of the FlatBuffers format
_IMAGE_CLASSIFIER = "Use an image classification model."
_CONTRACT_CURE = "in Python, or --mean and --std on the command line."


@dataclass(frozen=True)
class ModelFile:
    """A checked model file: its tensors, labels, input contract and operations.

    Attributes:
        path: Path of the file.
        size_bytes: Size of the whole file.
        model_bytes: Size of the model itself, without the archive appended to it.
        sha256: SHA-256 of the model itself, as hexadecimal digits.
        input_tensor: Input tensor, which takes the picture.
        output_tensor: Output tensor, which holds the scores.
        output_index: Index of the output tensor among the model's outputs.
        labels: Class names in the order of the scores.
        contract: Input contract: how a frame becomes the network's input.
        activation: Activation function at the end of the network.
        manifest: Manifest written by the trainer; None for other models.
        is_quantized: Whether convolutions and dense layers compute with 8-bit integers.
        operators: Name and version of each operator type in use.
        operations: Operations of the graph, in order, with their multiply-adds.
        min_runtime_version: Minimum TensorFlow Lite version, as noted by the converter; "" if unknown.
        thresholds: Score threshold of each class of a multi-label model, 0–1; empty for other models.
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
    """Check a model file and read its description.

    Arguments take precedence over the file's manifest, and the manifest over its standard metadata.

    Args:
        path: Path of a ``.tflite`` image classifier with one input and one score per class.
        content: Content of the file from `read_model_content`; the file is not read again.
        labels: Class names in the order of the scores.
        contract: Input contract: how a frame becomes the network's input.
        activation: Activation function at the end of the network.


    Raises:
        ModelError: The file cannot be read, is damaged or is not an image classifier; or neither the file nor the
            arguments say what its labels and normalization are.
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
        raise ModelError(f"Unknown activation {activation!r} for {path}. Use 'softmax', 'sigmoid' or 'none'.")
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
    """Read a whole model file into memory, so that an interpreter gets exactly the bytes that were checked.

    An interpreter that is given a path maps the file and sees later changes to it. Truncating a mapped file crashes
    the process.

    Raises:
        ModelError: The file cannot be read or is larger than 2 GiB.
    """
    path = os.fspath(path)
    with _opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MAX_BYTES:
            raise ModelError(f"{path} has {size:,} bytes; a model has at most {_MAX_BYTES >> 30} GiB. Check the path.")
        return file.readall() or b""


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Read class names from a UTF-8 text file with one label per line.

    Raises:
        ModelError: The file cannot be read.
    """
    try:
        return _split_labels(Path(path).read_bytes())
    except OSError as error:
        raise ModelError(f"Cannot read the labels file {path}: {error.strerror}. Check the path.") from error


def input_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return the height and width of a model's input in pixels.

    Raises:
        ModelError: The file cannot be read, is damaged or is not an image classifier.
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
    """Read and check the whole file."""
    if content is not None:
        return _parts_of(content, BytesIO(content), path)
    with _opened(path) as file:
        if os.fstat(file.fileno()).st_size == 0:
            return _parts_of(b"", file, path)  # an empty file cannot be mapped
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parts_of(data, file, path)


@contextmanager
def _opened(path: str) -> Iterator[FileIO]:
    try:
        with FileIO(path) as file:
            yield file
    except IsADirectoryError as error:
        raise ModelError(f"{path!r} is a folder. Name the .tflite file in it, such as model_int8.tflite.") from error
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"Cannot read the model file {path!r}: {reason}. Check the path.") from error


def _parts_of(data: bytes | mmap.mmap, file: FileIO | BytesIO, path: str) -> _Parts:
    """Read and check ``data``; ``file`` is a file object with the same content."""
    if not data:
        raise ModelError(f"The model file {path} is empty. Copy it again.")
    archive = find_zip(data, path)
    buffer = FlatBuffer(data, archive.start, path)
    if buffer.identifier() != IDENTIFIER:
        raise ModelError(
            f"{path} is not a TensorFlow Lite model: it lacks the identifier TFL3. Pass a .tflite file; convert other "
            "formats first, for example with tf.lite.TFLiteConverter."
        )
    graph = walk_graph(buffer)
    metadata = read_metadata(graph.metadata, path) if graph.metadata else None
    names = {name for name in (metadata.labels_file if metadata else ()) if name in archive.files}
    labels = {name: archive.read(name, data, path) for name in names}
    sha256, manifest = _sha256(file, archive.start), None
    if MANIFEST_NAME in archive.files:
        manifest = Manifest.from_json(archive.read(MANIFEST_NAME, data, path))
        if manifest.model_sha256 != sha256:
            raise damaged(path)
    return _Parts(len(data), archive.start, sha256, graph, metadata, manifest, labels)


def _sha256(file: FileIO | BytesIO, length: int) -> str:
    """Hash by reading instead of through the mapping, whose pages would count as memory of this process."""
    digest = hashlib.sha256()
    chunk = memoryview(bytearray(_CHUNK_BYTES))
    while length > 0 and (count := file.readinto(chunk[: min(_CHUNK_BYTES, length)])):
        digest.update(chunk[:count])
        length -= count
    return digest.hexdigest()


def _input_tensor(graph: Graph, path: str) -> TensorSpec:
    if len(graph.inputs) != 1:
        raise ModelError(f"{path} has {len(graph.inputs)} inputs, but an image classifier has one. {_IMAGE_CLASSIFIER}")
    tensor = graph.inputs[0]
    spec, shape = tensor.spec, tensor.shape
    fixed = len(tensor.signature) != 4 or tensor.signature[1:] == shape[1:]
    if len(shape) != 4 or shape[0] != 1 or shape[3] not in (1, 3) or min(shape) < 1 or not fixed:
        raise ModelError(
            f"The input of {path} has shape {tensor.signature or shape}, but an image classifier takes "
            "(1, height, width, 3) or (1, height, width, 1). "
            + (_IMAGE_CLASSIFIER if fixed else "Convert the model again with a fixed height and width.")
        )
    _check_dtype("input", tensor, path)
    return spec


def _output_tensor(graph: Graph, path: str) -> tuple[int, TensorSpec]:
    for index, tensor in enumerate(graph.outputs):
        if len(tensor.shape) == 2 and tensor.shape[0] == 1:
            _check_dtype("output", tensor, path)
            return index, tensor.spec
    shapes = ", ".join(str(tensor.shape) for tensor in graph.outputs) or "none"
    raise ModelError(
        f"{path} is not an image classifier: it needs an output of shape (1, classes), but its outputs have shape "
        f"{shapes}. {_IMAGE_CLASSIFIER}"
    )


def _check_dtype(role: str, tensor: GraphTensor, path: str) -> None:
    spec = tensor.spec
    if spec.dtype != "float32" and not (spec.is_quantized and spec.scale > 0):
        raise ModelError(
            f"The {role} of {path} has type {spec.dtype}"
            f"{' without a quantization scale' if spec.is_quantized else ', which is not supported'}. "
            f"Convert the model again with a float32, int8 or uint8 {role}."
        )


def _contract(metadata: StandardMetadata | None, tensor: TensorSpec, path: str) -> InputContract:
    """Return the contract of a model without a manifest: standard metadata, and TensorFlow's usual resizing."""
    _, height, width, channels = tensor.shape
    mean = metadata.mean if metadata else ()
    std = metadata.std if metadata else ()
    if tensor.dtype == "uint8" and metadata is not None and (mean or metadata.is_image):
        # By the metadata standard, a uint8 network takes unmodified pixels.
        mean, std = (float(tensor.zero_point),), (1.0 / tensor.scale,)
    if not mean or not std:
        raise ModelError(
            f"{path} does not say how to normalize its input. Pass the mean and std used in training: contract="
            f"InputContract(height={height}, width={width}, mean=(...), std=(...)) {_CONTRACT_CURE}"
        )
    color: str = "gray" if channels == 1 or (metadata is not None and metadata.is_gray) else "rgb"
    try:
        return InputContract(height, width, color, "stretch", "linear", mean, std)  # type: ignore[arg-type]
    except ValueError as error:
        reason = f"The metadata of {path} has an invalid normalization: {error}"
        raise ModelError(f"{reason} Pass contract= {_CONTRACT_CURE}") from error


def _check_contract(contract: InputContract, tensor: TensorSpec, path: str) -> None:
    expected, got = tensor.shape[1:], (contract.height, contract.width, contract.channels)
    if expected != got:
        raise ModelError(
            f"Expected an input contract with height, width and channels {expected} for {path}, got {got}. "
            "Change the contract, or leave it out."
        )


def _thresholds(manifest: Manifest | None, activation: Activation, count: int, path: str) -> tuple[float, ...]:
    thresholds = manifest.thresholds if manifest and activation == "sigmoid" else ()
    if thresholds and (len(thresholds) != count or not all(0 <= threshold <= 1 for threshold in thresholds)):
        raise ModelError(
            f"The manifest of {path} needs {count} thresholds from 0 to 1 for {count} outputs, but has "
            f"{len(thresholds)}: {', '.join(f'{threshold:g}' for threshold in thresholds[:8])}. Export the model again."
        )
    return thresholds


def _labels(labels: Sequence[str] | None, parts: _Parts, output: int, count: int, path: str) -> tuple[str, ...]:
    if labels is not None:
        found, source, cure = tuple(labels), "", f"Pass one label for each class of {path}."
    else:
        cure = f"Pass labels= with {count} names in Python, or --labels FILE on the command line (one name per line)."
        named = parts.metadata.labels_file if parts.metadata else ()
        name = named[output] if output < len(named) else ""
        if not name:
            raise ModelError(f"{path} contains no labels. {cure}")
        if name not in parts.labels:
            raise ModelError(
                f"{path} names {name} as its labels file but does not contain it, so it is probably truncated. "
                f"Copy it again, or give the labels yourself. {cure}"
            )
        found, source = _split_labels(parts.labels[name]), f" in {name} inside {path}"
    if len(found) != count:
        raise ModelError(f"Expected {count} labels for {count} outputs, got {len(found)}{source}. {cure}")
    return found


def _split_labels(content: bytes) -> tuple[str, ...]:
    return tuple(line.strip() for line in content.decode("utf-8-sig", "replace").rstrip().split("\n"))
