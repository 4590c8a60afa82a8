from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_runtime import Classifier
from edge_runtime.errors import ModelError
from edge_runtime.model.file import read_model_file
from edge_runtime.model.manifest import Calibration, GoldenSample, MeasuredAccuracy
from edge_runtime.model.metadata import read_metadata
from edge_runtime.types import InputContract
from tests.support.tiny import CONTRACT, LABELS
from trainer.errors import ConversionError, OutputFolderError
from trainer.export.model_file import export_model, restamp
from trainer.quantization.convert import convert_fp32

if TYPE_CHECKING:
    from tests.support.tiny import TinyModels


@pytest.fixture(scope="module")
def fp32(tiny_models: TinyModels) -> bytes:
    return convert_fp32(tiny_models.keras)


def test_everything_reads_back(fp32: bytes, tmp_path: Path) -> None:
    contents: dict[str, Any] = {
        "labels": ("große Katze", "dog", "fish"),
        "contract": InputContract(32, 32, crop="stretch", mean=(128.0, 127.0, 126.0), std=(127.5, 127.0, 126.5)),
        "activation": "softmax",
        "provenance": {"backbone": "tiny", "recipe": {"seed": 3}},
        "calibration": Calibration(7, "ab", 3),
        "golden": (GoldenSample("cd", (0.25, 0.5, 0.25), pattern_seed=1),),
        "accuracy": (MeasuredAccuracy("val", 20, 0.9, 0.88, 0.95, "kernels"),),
    }
    model = export_model(tmp_path / "m.tflite", fp32, check=True, **contents)
    assert model == read_model_file(tmp_path / "m.tflite")
    assert model.labels == contents["labels"]
    assert model.contract == contents["contract"]
    manifest = model.manifest
    assert manifest is not None
    assert manifest.input_tensor == model.input_tensor
    assert manifest.output_tensor == model.output_tensor
    for name in ("provenance", "calibration", "golden", "accuracy", "activation"):
        assert getattr(manifest, name) == contents[name]


def test_the_zip_is_stored_and_has_no_time_of_day(tiny_int8: Path) -> None:
    with zipfile.ZipFile(tiny_int8) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["labels.txt", "edge_manifest.json"]
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
        assert archive.read("labels.txt").decode() == "blue\ngreen\nred\n"


def test_the_same_arguments_give_the_same_bytes(fp32: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    contents = []
    for _ in range(2):
        export_model(path, fp32, labels=LABELS, contract=CONTRACT)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_restamp_changes_the_manifest_and_not_the_model(fp32: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    before = export_model(path, fp32, labels=LABELS, contract=CONTRACT)
    content = path.read_bytes()[: before.model_bytes]
    assert before.manifest is not None
    manifest = replace(before.manifest, accuracy=(MeasuredAccuracy("test", 5, 1.0),))
    after = restamp(path, manifest)
    assert after.manifest == manifest
    assert after.sha256 == before.sha256
    assert after.labels == LABELS
    assert path.read_bytes()[: after.model_bytes] == content
    with Classifier(path) as classifier:
        classifier.invoke()


def test_restamp_refuses_the_manifest_of_another_model(tiny_int8: Path, tiny_fp32: Path) -> None:
    other = read_model_file(tiny_fp32).manifest
    assert other is not None
    content = tiny_int8.read_bytes()
    with pytest.raises(ModelError, match="got another one's"):
        restamp(tiny_int8, other)
    assert tiny_int8.read_bytes() == content


def test_what_does_not_fit_together_is_refused_and_leaves_nothing(fp32: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    with pytest.raises(ConversionError, match="Expected 3 labels for 3 outputs, got 2") as caught:
        export_model(path, fp32, labels=("a", "b"), contract=CONTRACT)
    assert str(path) in str(caught.value)
    with pytest.raises(ConversionError, match="height, width and channels"):
        export_model(path, fp32, labels=LABELS, contract=InputContract(24, 24))
    with pytest.raises(ConversionError, match="one line"):
        export_model(path, fp32, labels=("a", "b\nc", "d"), contract=CONTRACT)
    with pytest.raises(ConversionError, match="truncated or damaged"):
        export_model(path, fp32[: len(fp32) // 2], labels=LABELS, contract=CONTRACT)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(fp32: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFolderError, match=r"Expected to write .*m\.tflite"):
        export_model(tmp_path / "file" / "m.tflite", fp32, labels=LABELS, contract=CONTRACT)


def test_quantized_and_float_files_say_the_same_normalization(tiny_int8: Path, tiny_fp32: Path) -> None:
    """As the standard asks: a quantized model shares its float sibling's."""
    found = []
    for path in (tiny_int8, tiny_fp32):
        content = path.read_bytes()
        start = content.index(b"M001") - 4
        metadata = read_metadata(content[start:], "m")
        assert metadata is not None
        found.append((metadata.mean, metadata.std))
    assert found == [((128.0,), (127.5,))] * 2
