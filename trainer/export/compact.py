"""Rewrite a converted model's flatbuffer in fewer bytes, without changing the network.

The converter stores a vector of 64-bit zeros with the scales of each per-channel tensor, for weights and again for
biases: a fifth of a small INT8 file. FlatBuffers allows fields to share a vector, so equal ones are stored once. The
scales of biases have to stay: without them XNNPACK leaves the convolution to slow kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT_ENTRY = b"min_runtime_version"
# Names that the converter generates for constants carry no information.
_NAMELESS = (b"tfl.pseudo_", b"arith.constant")
_BUFFER_ALIGNMENT = 16  # force_align of Buffer.data in TensorFlow Lite's schema.fbs


def compact(content: bytes, entries: dict[str, bytes] | None = None) -> bytes:
    """Return the same network in fewer bytes.

    Of the converter's own metadata, only ``min_runtime_version`` is kept.

    Args:
        content: Converted ``.tflite`` model.
        entries: Metadata to add, by name, such as ``TFLITE_METADATA``.
    """
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    buffers = _Buffers(schema.BufferT)
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.buffer = buffers.add(model.buffers[tensor.buffer].data)
            tensor.name = _short(tensor.name)
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    wanted: dict[bytes, bytes] = {}
    for entry in model.metadata or ():
        data = _bytes(model.buffers[entry.buffer].data)
        if entry.name == _KEPT_ENTRY and data.strip(b"\0"):  # the converter adds an empty one
            wanted.setdefault(entry.name, data)
    wanted.update((name.encode(), data) for name, data in (entries or {}).items())
    model.metadata = []
    for name, data in wanted.items():
        entry = schema.MetadataT()
        entry.name = name
        entry.buffer = buffers.add(np.frombuffer(data, np.uint8))
        model.metadata.append(entry)
    model.buffers = buffers.items
    model.description = None
    builder = _SharingBuilder(len(content) + sum(map(len, wanted.values())))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _Buffers:
    """The model's constants without duplicates. The first one is empty: in the schema it means "no constant"."""

    def __init__(self, make: Any) -> None:
        self._make = make
        self._known: dict[bytes, int] = {}
        self.items = [make()]

    def add(self, data: NDArray[np.uint8] | None) -> int:
        content = _bytes(data)
        if not content:
            return 0
        if content not in self._known:
            buffer = self._make()
            buffer.data = np.frombuffer(content, np.uint8)
            self._known[content] = len(self.items)
            self.items.append(buffer)
        return self._known[content]


class _SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Builder that stores equal vectors and strings once, and aligns byte vectors as kernels require."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.head: int
        self._known: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: NDArray[Any]) -> int:  # noqa: N802
        key = (x.dtype.str, x.tobytes())
        if key not in self._known:
            self._known[key] = self._aligned(key[1]) if x.dtype == np.uint8 else super().CreateNumpyVector(x)
        return self._known[key]

    def CreateString(self, s: str | bytes, *args: Any, **kwargs: Any) -> int:  # noqa: N802
        key = ("string", s.encode() if isinstance(s, str) else bytes(s))
        if key not in self._known:
            self._known[key] = super().CreateString(s, *args, **kwargs)
        return self._known[key]

    def _aligned(self, content: bytes) -> int:
        self.StartVector(1, len(content), _BUFFER_ALIGNMENT)
        start = int(self.head) - len(content)
        self.Bytes[start : start + len(content)] = content
        self.head = start
        return int(self.EndVector())


def _bytes(data: Any) -> bytes:
    return b"" if data is None else bytes(data)


def _short(name: bytes | None) -> bytes | None:
    """Return the layer's own name: ``block_1`` for ``model/block_1/Relu6;model/bn/…``."""
    if not name or name.startswith(_NAMELESS):
        return None
    parts = name.split(b";")[0].split(b":")[0].split(b"/")
    return parts[-2] if len(parts) > 1 else parts[0].removeprefix(b"serving_default_")
