"""Write TensorFlow Lite Metadata for an image classifier, so that other programs understand the file.

The slots are those of ``metadata_schema.fbs`` in tensorflow/tflite-support; `edge_runtime.model` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flatbuffers
import numpy as np

from edge_runtime.model.manifest import FILE_NAME as MANIFEST_NAME
from edge_runtime.model.metadata import (
    GRAYSCALE,
    IDENTIFIER,
    IMAGE_PROPERTIES,
    NORMALIZATION_OPTIONS,
    RGB,
    TENSOR_AXIS_LABELS,
)
from edge_runtime.types import Activation, InputContract, TensorSpec

LABELS_NAME = "labels.txt"
_FEATURE_PROPERTIES = 1
_UNKNOWN = 0
_PARSER_VERSION = "1.0.0"  # the first version of the schema covers all fields written here

_Field = Callable[[int], None]


def write_metadata(name: str, contract: InputContract, tensor: TensorSpec, activation: Activation) -> bytes:
    """Return the flatbuffer for a model's ``TFLITE_METADATA`` entry.

    Quantized models get the mean and std of the float network, as the schema requires. Programs that follow the schema
    feed unchanged pixels to a uint8 network, which is equivalent.

    Args:
        name: Name of the model.
        contract: Input contract.
        tensor: Input tensor.
        activation: Activation of the network's output.
    """
    b = flatbuffers.Builder(1024)
    # A flatbuffer is written bottom-up: referenced objects come first.
    image = _image(b, contract, tensor)
    scores = _scores(b, activation)
    manifest = _file(b, MANIFEST_NAME, "How this model was made, and what it needs and gives, as JSON.", _UNKNOWN)
    inputs, outputs, files = _offsets(b, [image]), _offsets(b, [scores]), _offsets(b, [manifest])
    subgraph = _table(b, 7, {2: _offset(b, inputs), 3: _offset(b, outputs)})
    subgraphs, title = _offsets(b, [subgraph]), b.CreateString(name)
    description, version = b.CreateString("Image classification."), b.CreateString(_PARSER_VERSION)
    fields = {0: title, 1: description, 3: subgraphs, 6: files, 7: version}
    b.Finish(_table(b, 8, {slot: _offset(b, target) for slot, target in fields.items()}), IDENTIFIER)
    return bytes(b.Output())


def _image(b: flatbuffers.Builder, contract: InputContract, tensor: TensorSpec) -> int:
    color = {"rgb": RGB, "gray": GRAYSCALE, "bgr": _UNKNOWN}[contract.color]
    properties = _table(b, 2, {0: lambda slot: b.PrependInt8Slot(slot, color, 0)})
    content = _union(b, 3, IMAGE_PROPERTIES, properties)
    mean, std = _floats(b, contract.mean), _floats(b, contract.std)
    options = _table(b, 2, {0: _offset(b, mean), 1: _offset(b, std)})
    units = _offsets(b, [_union(b, 2, NORMALIZATION_OPTIONS, options)])
    if tensor.is_quantized:
        limits = np.iinfo(tensor.dtype)
        low, high = [float(limits.min)], [float(limits.max)]
    else:
        low = [(0 - m) / s for m, s in zip(contract.mean, _spread(contract.std, contract.mean), strict=True)]
        high = [(255 - m) / s for m, s in zip(contract.mean, _spread(contract.std, contract.mean), strict=True)]
    return _tensor(b, "image", "The picture to classify.", content, units, _stats(b, low, high), 0)


def _scores(b: flatbuffers.Builder, activation: Activation) -> int:
    content = _union(b, 3, _FEATURE_PROPERTIES, _table(b, 0, {}))
    labels = _offsets(b, [_file(b, LABELS_NAME, "The classes, one a line.", TENSOR_AXIS_LABELS)])
    stats = _stats(b, [0.0], [1.0]) if activation != "none" else 0
    return _tensor(b, "scores", "The score of each class.", content, 0, stats, labels)


def _tensor(
    b: flatbuffers.Builder, name: str, description: str, content: int, units: int, stats: int, files: int
) -> int:
    fields = {0: b.CreateString(name), 1: b.CreateString(description), 3: content, 4: units, 5: stats, 6: files}
    return _table(b, 7, {slot: _offset(b, target) for slot, target in fields.items() if target})


def _file(b: flatbuffers.Builder, name: str, description: str, kind: int) -> int:
    title, text = b.CreateString(name), b.CreateString(description)
    return _table(
        b, 5, {0: _offset(b, title), 1: _offset(b, text), 2: lambda slot: b.PrependInt8Slot(slot, kind, _UNKNOWN)}
    )


def _stats(b: flatbuffers.Builder, low: Sequence[float], high: Sequence[float]) -> int:
    top, bottom = _floats(b, high), _floats(b, low)
    return _table(b, 2, {0: _offset(b, top), 1: _offset(b, bottom)})


def _union(b: flatbuffers.Builder, slots: int, kind: int, target: int) -> int:
    return _table(b, slots, {0: lambda slot: b.PrependUint8Slot(slot, kind, 0), 1: _offset(b, target)})


def _table(b: flatbuffers.Builder, slots: int, fields: dict[int, _Field]) -> int:
    b.StartObject(slots)
    for slot, write in fields.items():
        write(slot)
    return int(b.EndObject())


def _offset(b: flatbuffers.Builder, target: int) -> _Field:
    def write(slot: int) -> None:
        b.PrependUOffsetTRelativeSlot(slot, target, 0)

    return write


def _offsets(b: flatbuffers.Builder, targets: Sequence[int]) -> int:
    b.StartVector(4, len(targets), 4)
    for target in reversed(targets):
        b.PrependUOffsetTRelative(target)
    return int(b.EndVector())


def _floats(b: flatbuffers.Builder, values: Sequence[float]) -> int:
    vector: Any = b.CreateNumpyVector(np.asarray(values, np.float32))
    return int(vector)


def _spread(values: Sequence[float], other: Sequence[float]) -> Sequence[float]:
    return values if len(values) == len(other) else [values[0]] * len(other)
