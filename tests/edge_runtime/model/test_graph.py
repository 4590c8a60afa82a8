"""Models that would take an interpreter's process down are refused, and told why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Classifier
from edge_runtime.errors import BackendError, ModelError
from edge_runtime.model.file import read_model_file
from edge_runtime.model.operators import OPERATORS
from edge_runtime.types import InputContract
from tests.support.tiny import LABELS, SIZE

CONTRACT = InputContract(SIZE, SIZE)


def written(model: Any, path: Path) -> Path:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    return path


@pytest.fixture
def model(tiny_int8: Path) -> Any:
    """The small network as the schema's own objects, to be changed."""
    from tensorflow.lite.python import schema_py_generated as schema

    content = tiny_int8.read_bytes()[: read_model_file(tiny_int8).model_bytes]
    return schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))


def convolution(model: Any) -> Any:
    """The first CONV_2D."""
    return next(o for o in model.subgraphs[0].operators if model.operatorCodes[o.opcodeIndex].builtinCode == 3)


def no_stride(model: Any) -> None:
    convolution(model).builtinOptions.strideW = 0


def odd_padding(model: Any) -> None:
    convolution(model).builtinOptions.padding = -7


def no_options(model: Any) -> None:
    operator = convolution(model)
    operator.builtinOptions, operator.builtinOptionsType = None, 0


def one_input(model: Any) -> None:
    convolution(model).inputs = convolution(model).inputs[:1]


def no_weights(model: Any) -> None:
    operator = convolution(model)
    operator.inputs = np.array([operator.inputs[0], -1, *operator.inputs[2:]], np.int32)


def backwards(model: Any) -> None:
    model.subgraphs[0].operators.reverse()


def twice(model: Any) -> None:
    model.subgraphs[0].operators.append(convolution(model))


def flat_weights(model: Any) -> None:
    weights = model.subgraphs[0].tensors[convolution(model).inputs[1]]
    weights.shape = np.array([int(np.prod(weights.shape))], np.int32)
    weights.quantization = None


def short_bias(model: Any) -> None:
    bias = model.subgraphs[0].tensors[convolution(model).inputs[2]]
    bias.buffer, bias.shape, bias.quantization, bias.isVariable = 0, np.array([1], np.int32), None, True


def no_scale(model: Any) -> None:
    model.subgraphs[0].tensors[convolution(model).outputs[0]].quantization = None


def vanishing_scale(model: Any) -> None:
    model.subgraphs[0].tensors[convolution(model).outputs[0]].quantization.scale = np.array([1e-43], np.float32)


def huge(model: Any) -> None:
    model.subgraphs[0].tensors[convolution(model).outputs[0]].shape = np.array([1, 30000, 30000, 8], np.int32)


def foreign_signature(model: Any) -> None:
    model.signatureDefs[0].outputs[0].tensorIndex = 10_000


def sparse(model: Any) -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    model.subgraphs[0].tensors[convolution(model).inputs[1]].sparsity = schema.SparsityParametersT()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_stride, "CONV_2D has an invalid stride, filter size or dilation"),
        (odd_padding, "CONV_2D has an unknown padding mode"),
        (no_options, "CONV_2D has no options table"),
        (one_input, "CONV_2D has 1 inputs"),
        (no_weights, "CONV_2D lacks a required input"),
        (backwards, "reads a tensor that has not been computed yet"),
        (twice, "overwrites an existing tensor"),
        (flat_weights, "weights of shape"),
        (short_bias, "a bias of shape"),
        (no_scale, "8-bit integers without a quantization scale"),
        (vanishing_scale, "damaged"),
        (huge, "more than 256 MiB"),
        (foreign_signature, "damaged"),
        (sparse, "damaged"),
    ],
)
def test_what_would_break_an_interpreter_is_refused(
    spoil: Callable[[Any], None], reason: str, model: Any, tmp_path: Path
) -> None:
    spoil(model)
    with pytest.raises(ModelError, match=reason):
        read_model_file(written(model, tmp_path / "spoilt.tflite"), labels=LABELS, contract=CONTRACT)


def test_an_unchanged_model_is_taken(model: Any, tmp_path: Path) -> None:
    file = read_model_file(written(model, tmp_path / "same.tflite"), labels=LABELS, contract=CONTRACT)
    assert file.is_quantized


def test_operators_are_those_of_the_schema() -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    names = {number: name for name, number in vars(schema.BuiltinOperator).items()}
    options = {number: name for name, number in vars(schema.BuiltinOptions).items()}
    for number, operator in OPERATORS.items():
        assert names[number] == operator.name
        if operator.options:
            squeezed = operator.name.replace("_", "").lower()
            stem = options[operator.options].removesuffix("Options").lower()
            assert stem in {"reducer", "pool2d"} or stem == squeezed
        table = getattr(schema, f"{options[operator.options]}T")() if operator.options else None
        assert len(operator.positive) == len(operator.defaults)
        assert not operator.positive or table is not None


def test_a_network_of_another_shape_than_its_file_says_is_refused(model: Any, tmp_path: Path) -> None:
    scores = model.subgraphs[0].outputs[0]
    model.subgraphs[0].tensors[scores].shape = np.array([1, len(LABELS) + 1], np.int32)
    path = written(model, tmp_path / "taller.tflite")
    with pytest.raises(BackendError, match="the file declares"):
        Classifier(path, labels=(*LABELS, "more"), contract=CONTRACT)
