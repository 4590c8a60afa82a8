from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge_runtime import Classifier
from edge_runtime.errors import ModelError
from edge_runtime.model.file import read_model_file
from edge_runtime.model.manifest import Calibration, GoldenSample, MeasuredAccuracy
from edge_runtime.model.metadata import read_metadata
from edge_runtime.types import InputContract
from tests.support.tiny import CONTRACT, LABELS
from trainer.errors import ConversionError, OutputFolderError
from trainer.export.model_file import Exporter, restamp
from trainer.quantization.convert import convert_fp32

if TYPE_CHECKING:
    from tests.support.tiny import TinyModels


@pytest.fixture(scope="module")
def fp32(tiny_models: TinyModels) -> bytes:
    return convert_fp32(tiny_models.keras)


def test_everything_reads_back(fp32: bytes, tmp_path: Path) -> None:
    path, calibration = tmp_path / "m.tflite", Calibration(7, "ab", 3)
    contract = InputContract(32, 32, crop="stretch", mean=(128.0, 127.0, 126.0), std=(127.5, 127.0, 126.5))
    provenance = {"backbone": "tiny", "recipe": {"seed": 3}}
    exporter = Exporter(("große Katze", "dog", "fish"), contract, "softmax", provenance, temperature=1.5)
    model = exporter.write(path, fp32, calibration)
    assert model == read_model_file(path)
    assert (model.labels, model.contract) == (exporter.labels, contract)
    manifest = model.manifest
    assert manifest is not None
    assert manifest.input_tensor == model.input_tensor
    assert manifest.output_tensor == model.output_tensor
    for name, value in {"calibration": calibration, **vars(exporter)}.items():
        if name not in ("labels", "contract"):  # compared above
            assert getattr(manifest, name) == value
    golden = (GoldenSample("cd", (0.25, 0.5, 0.25), pattern_seed=1),)
    measured = replace(manifest, golden=golden, accuracy=(MeasuredAccuracy("val", 20, 0.9, 0.88, 0.95, "kernels"),))
    assert restamp(path, measured).manifest == measured


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
        Exporter(LABELS, CONTRACT).write(path, fp32, check=False)
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]


def test_restamp_changes_the_manifest_and_not_the_model(fp32: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    before = Exporter(LABELS, CONTRACT).write(path, fp32, check=False)
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
    with pytest.raises(ModelError, match="does not belong to the model"):
        restamp(tiny_int8, other)
    assert tiny_int8.read_bytes() == content


def test_what_does_not_fit_together_is_refused_and_leaves_nothing(fp32: bytes, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    with pytest.raises(ConversionError, match="Expected 3 labels for 3 outputs, got 2") as caught:
        Exporter(("a", "b"), CONTRACT).write(path, fp32, check=False)
    assert str(path) in str(caught.value)
    with pytest.raises(ConversionError, match="height, width and channels"):
        Exporter(LABELS, InputContract(24, 24)).write(path, fp32, check=False)
    with pytest.raises(ConversionError, match="single lines"):
        Exporter(("a", "b\nc", "d"), CONTRACT).write(path, fp32, check=False)
    with pytest.raises(ConversionError, match="truncated or damaged"):
        Exporter(LABELS, CONTRACT).write(path, fp32[: len(fp32) // 2], check=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(fp32: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFolderError, match=r"Cannot write .*m\.tflite"):
        Exporter(LABELS, CONTRACT).write(tmp_path / "file" / "m.tflite", fp32, check=False)


def test_quantized_and_float_files_say_the_same_normalization(tiny_int8: Path, tiny_fp32: Path) -> None:
    """As the schema requires, a quantized model has the normalization of its float version."""
    found = []
    for path in (tiny_int8, tiny_fp32):
        content = path.read_bytes()
        start = content.index(b"M001") - 4
        metadata = read_metadata(content[start:], "m")
        assert metadata is not None
        found.append((metadata.mean, metadata.std))
    assert found == [((128.0,), (127.5,))] * 2
