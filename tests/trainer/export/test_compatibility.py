from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge_runtime.model.file import read_model_file
from tests.support.tiny import CONTRACT, LABELS
from trainer.errors import ConversionError
from trainer.export.compatibility import check_compatibility, check_versions
from trainer.export.model_file import Exporter


def test_exported_models_run_in_every_installed_interpreter(tiny_int8: Path) -> None:
    checks = {check.name: check for check in check_compatibility(tiny_int8)}
    assert "tflite_runtime" in checks
    for name, check in checks.items():
        installed = find_spec(name) is not None
        assert (check.note == "runs") == installed
        assert bool(check.version) == installed


def test_an_operation_too_new_for_the_pinned_runtime_is_named(tiny_int8: Path) -> None:
    model = replace(read_model_file(tiny_int8), operators=(("CONV_2D", 3), ("FULLY_CONNECTED", 12)))
    with pytest.raises(ConversionError, match=r"FULLY_CONNECTED version 12, .*only up to version 10"):
        check_versions(model)


def test_a_newer_minimum_runtime_is_refused(tiny_int8: Path) -> None:
    model = read_model_file(tiny_int8)
    check_versions(replace(model, min_runtime_version="2.14.0"))
    with pytest.raises(ConversionError, match=r"needs tflite-runtime 2\.17\.0"):
        check_versions(replace(model, min_runtime_version="2.17.0"))


@pytest.mark.skipif(find_spec("tflite_runtime") is None, reason="needs tflite-runtime")
def test_the_table_is_what_the_interpreter_says(tiny_int8: Path) -> None:
    """The newest version of each operation loads in tflite-runtime 2.14.0, and the next one does not."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema
    from tflite_runtime.interpreter import Interpreter

    from trainer.export.compatibility import _NEWEST

    def load(name: str, version: int) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        graph = schema.SubGraphT()
        graph.tensors, graph.inputs, graph.outputs, graph.operators = [], [], [], []
        model = schema.ModelT()
        model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
        builder = flatbuffers.Builder(256)
        builder.Finish(model.Pack(builder), b"TFL3")
        Interpreter(model_content=bytes(builder.Output()))

    for name, newest in _NEWEST.items():
        load(name, newest)
        with pytest.raises(ValueError, match="builtin"):
            load(name, newest + 1)


def test_a_model_that_interpreters_refuse_is_an_error_and_leaves_no_file(tiny_int8: Path, tmp_path: Path) -> None:
    """An operation with integer input and float output, which only an interpreter refuses."""
    from tensorflow.lite.tools import flatbuffer_utils

    content = tiny_int8.read_bytes()[: read_model_file(tiny_int8).model_bytes]
    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    operator = model.subgraphs[0].operators[0]
    model.subgraphs[0].tensors[operator.outputs[0]].type = 0
    broken = bytes(flatbuffer_utils.convert_object_to_bytearray(model))
    path = tmp_path / "broken.tflite"
    with pytest.raises(ConversionError, match=r"cannot run .*broken\.tflite: "):
        Exporter(LABELS, CONTRACT).write(path, broken)
    assert list(tmp_path.iterdir()) == []
