from __future__ import annotations

import flatbuffers
import pytest

from edge_runtime.errors import ModelError
from edge_runtime.model.flatbuffer import FlatBuffer, Table


def _table(content: bytes) -> Table:
    return FlatBuffer(content, len(content), "some.tflite").root()


@pytest.fixture(scope="module")
def content() -> bytes:
    """A table with a text, a number, whole numbers, floats and one table in a vector, by the flatbuffers package."""
    builder = flatbuffers.Builder(64)
    builder.StartObject(1)
    builder.PrependInt8Slot(0, -3, 0)
    inner = builder.EndObject()
    builder.StartVector(4, 1, 4)
    builder.PrependUOffsetTRelative(inner)
    tables = builder.EndVector()
    text = builder.CreateString("größer")
    builder.StartVector(8, 2, 8)
    builder.PrependInt64(-2)
    builder.PrependInt64(1 << 40)
    integers = builder.EndVector()
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(0.5)
    floats = builder.EndVector()
    builder.StartObject(6)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependInt32Slot(1, 7, 0)
    builder.PrependUOffsetTRelativeSlot(2, integers, 0)
    builder.PrependUOffsetTRelativeSlot(3, floats, 0)
    builder.PrependUOffsetTRelativeSlot(4, tables, 0)
    builder.Finish(builder.EndObject(), b"TEST")
    return bytes(builder.Output())


def test_reads_what_the_flatbuffers_package_wrote(content: bytes) -> None:
    table = _table(content)
    assert table.text(0) == "größer"
    assert table.scalar(1, "i") == 7
    assert table.integers(2, 8) == (1 << 40, -2)
    assert table.floats(3) == (0.5,)
    assert [inner.scalar(0, "b") for inner in table.tables(4)] == [-3]
    assert FlatBuffer(content, len(content), "").identifier() == b"TEST"


def test_a_field_that_is_not_stored_has_its_default(content: bytes) -> None:
    table = _table(content)
    assert table.scalar(5, "i", 9) == 9
    assert table.table(9) is None
    assert table.tables(9) == []
    assert table.text(9) == ""
    assert table.integers(9) == ()


def test_any_cut_is_an_error_and_not_a_wrong_answer(content: bytes) -> None:
    whole = _everything(content)
    refused = 0
    for length in range(len(content)):
        try:
            assert _everything(content[:length]) == whole
        except ModelError:
            refused += 1
        else:
            assert not content[length:].strip(b"\0"), "only padding may be missing"
    assert refused > len(content) - 8
    with pytest.raises(ModelError, match=r"some\.tflite is truncated or damaged"):
        _everything(content[: len(content) // 2])


def test_offsets_that_point_outside_are_errors(content: bytes) -> None:
    errors = 0
    for position in range(0, len(content) - 4):
        damaged = content[:position] + b"\xff\xff\xff\x7f" + content[position + 4 :]
        try:
            _everything(damaged)
        except ModelError:
            errors += 1
    assert errors > len(content) // 4


def _everything(content: bytes) -> tuple[object, ...]:
    table = _table(content)
    inner = tuple(one.scalar(0, "b") for one in table.tables(4))
    return table.text(0), table.scalar(1, "i"), table.integers(2, 8), table.floats(3), inner
