from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.errors import ModelError
from edge_runtime.model.file import read_model_file
from edge_runtime.model.metadata import read_metadata
from edge_runtime.types import InputContract, TensorSpec
from trainer.export.metadata import write_metadata

_TENSOR = TensorSpec("float32", (1, 8, 8, 3))


def test_reads_what_the_trainer_wrote() -> None:
    contract = InputContract(8, 8, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))
    found = read_metadata(write_metadata("flowers", contract, _TENSOR, "softmax"), "x.tflite")
    assert found is not None
    assert found.name == "flowers"
    assert found.is_image
    assert not found.is_gray
    assert found.mean == (1.0, 2.0, 3.0)
    assert found.std == (4.0, 5.0, 6.0)
    assert found.labels_file == ("labels.txt",)


def test_a_grey_input_is_told() -> None:
    contract = InputContract(8, 8, color="gray")
    found = read_metadata(write_metadata("g", contract, TensorSpec("int8", (1, 8, 8, 1), 1.0), "none"), "x.tflite")
    assert found is not None
    assert found.is_gray


def test_another_schema_is_no_metadata() -> None:
    assert read_metadata(b"\x08\0\0\0M999" + bytes(8), "x.tflite") is None


def test_damaged_metadata_is_an_error() -> None:
    content = write_metadata("flowers", InputContract(8, 8), _TENSOR, "softmax")
    with pytest.raises(ModelError, match=r"x\.tflite is truncated or damaged"):
        read_metadata(content[: len(content) // 2], "x.tflite")


def test_a_quantized_model_from_elsewhere_explains_itself(shared_data: Path) -> None:
    model = read_model_file(shared_data / "models" / "mobilenet_v1_0.25_224_quant.tflite")
    assert len(model.labels) == 1001
    assert model.labels[:3] == ("background", "tench", "goldfish")
    assert model.activation == "softmax"
    assert model.manifest is None
