from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import ModelError
from edge_runtime.model.file import input_size, read_labels, read_model_file
from edge_runtime.model.manifest import FILE_NAME
from edge_runtime.pixels.preprocess import pixel_table
from edge_runtime.types import InputContract


@pytest.fixture
def bare_int8(tiny_int8: Path, tmp_path: Path) -> Path:
    """The network alone, as from elsewhere: no ZIP, so neither labels nor manifest."""
    return _write(tmp_path / "bare.tflite", tiny_int8.read_bytes()[: read_model_file(tiny_int8).model_bytes])


def _write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_an_exported_model_explains_itself(tiny_int8: Path, tiny_fp32: Path) -> None:
    for path, dtype in ((tiny_int8, "int8"), (tiny_fp32, "float32")):
        model = read_model_file(path)
        assert model.path == path
        assert model.size_bytes == path.stat().st_size
        assert model.labels == ("blue", "green", "red")
        assert model.contract == InputContract(32, 32)
        assert model.activation == "softmax"
        assert model.input_tensor.dtype == dtype
        assert model.output_tensor.shape == (1, 3)
        assert model.is_quantized == (dtype == "int8")
        assert model.manifest is not None
        assert model.manifest.model_sha256 == model.sha256
        assert "CONV_2D" in dict(model.operators)
        assert len(model.operations) >= 5
        assert model.min_runtime_version


def test_what_the_caller_gives_goes_first(tiny_int8: Path) -> None:
    contract = InputContract(32, 32, crop="stretch", mean=(0.0,), std=(255.0,))
    model = read_model_file(tiny_int8, labels=["a", "b", "c"], contract=contract, activation="none")
    assert model.labels == ("a", "b", "c")
    assert model.contract == contract
    assert model.activation == "none"


def test_every_cut_is_refused(tiny_int8: Path, tmp_path: Path) -> None:
    content = tiny_int8.read_bytes()
    for length in np.linspace(0, len(content) - 1, 60).astype(int):
        path = _write(tmp_path / "cut.tflite", content[:length])
        with pytest.raises(ModelError):
            read_model_file(path)


def test_every_cut_of_a_model_without_manifest_is_refused(bare_int8: Path, tmp_path: Path) -> None:
    content = bare_int8.read_bytes()
    for length in np.linspace(0, len(content) - 64, 60).astype(int):
        path = _write(tmp_path / "cut.tflite", content[:length])
        with pytest.raises(ModelError, match=r"cut\.tflite (is|contains|names)"):
            read_model_file(path, labels="abc", contract=InputContract(32, 32))


def test_any_changed_bit_of_an_exported_model_is_found(tiny_int8: Path, tmp_path: Path) -> None:
    content = tiny_int8.read_bytes()
    for position in np.random.default_rng(0).integers(0, read_model_file(tiny_int8).model_bytes, 60):
        changed = bytearray(content)
        changed[position] ^= 1 << int(position) % 8
        with pytest.raises(ModelError):
            read_model_file(_write(tmp_path / "changed.tflite", bytes(changed)))


def test_a_changed_bit_in_labels_or_manifest_is_found(tiny_int8: Path, tmp_path: Path) -> None:
    content = tiny_int8.read_bytes()
    for text in (b"green", b"schema_version"):
        changed = bytearray(content)
        changed[content.rindex(text)] ^= 4
        with pytest.raises(ModelError, match="truncated or damaged"):
            read_model_file(_write(tmp_path / "changed.tflite", bytes(changed)))


def test_damage_without_manifest_is_an_error_or_harmless_to_the_reader(bare_int8: Path, tmp_path: Path) -> None:
    content = bare_int8.read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), 4):
            changed[position] = int(rng.integers(256))
        try:
            read_model_file(_write(tmp_path / "x.tflite", bytes(changed)), labels="abc", contract=InputContract(32, 32))
        except ModelError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize(
    "content", [b"", b"x", b"# notes\n" * 100, b"\x1c\0\0\0TFL3", b"\x1c\0\0\0TFL3" + b"\xff" * 99]
)
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"x\.tflite is (empty|not a TensorFlow Lite model|truncated or damaged)"):
        read_model_file(_write(tmp_path / "x.tflite", content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_model_file(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="is a folder"):
        read_model_file(tmp_path)


def test_missing_labels_are_asked_for(bare_int8: Path) -> None:
    with pytest.raises(ModelError, match=r"labels\.txt as its labels file but .* Pass labels= with 3 names"):
        read_model_file(bare_int8, contract=InputContract(32, 32))


def test_a_wrong_count_of_labels_is_named(tiny_int8: Path) -> None:
    with pytest.raises(ModelError, match=r"Expected 3 labels for 3 outputs, got 2\. Pass one label"):
        read_model_file(tiny_int8, labels=["a", "b"])


def test_a_contract_of_another_size_is_refused(tiny_int8: Path) -> None:
    with pytest.raises(ModelError, match=r"\(32, 32, 3\) for .*, got \(24, 32, 3\)"):
        read_model_file(tiny_int8, contract=InputContract(24, 32))


def test_standard_metadata_is_enough(tiny_int8: Path, tiny_fp32: Path, tmp_path: Path) -> None:
    """Without our manifest, the metadata gives labels and the same table of pixels."""
    for path in (tiny_int8, tiny_fp32):
        whole = read_model_file(path)
        bare = _write(tmp_path / path.name, path.read_bytes()[: whole.model_bytes])
        with zipfile.ZipFile(bare, "a") as archive:
            archive.writestr("labels.txt", "blue\ngreen\nred\n")
        model = read_model_file(bare)
        assert model.manifest is None
        assert model.labels == whole.labels
        assert model.activation == "softmax"
        tables = [pixel_table(one.contract, one.input_tensor) for one in (model, whole)]
        np.testing.assert_array_equal(*tables)


def test_a_compressed_zip_and_one_made_apart_are_read(tiny_int8: Path, tmp_path: Path) -> None:
    whole = read_model_file(tiny_int8)
    content = tiny_int8.read_bytes()[: whole.model_bytes]
    with zipfile.ZipFile(tmp_path / "apart.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.txt", "blue\ngreen\nred")
        archive.writestr(FILE_NAME, whole.manifest.to_json() if whole.manifest else "")
    path = _write(tmp_path / "model.tflite", content + (tmp_path / "apart.zip").read_bytes())
    model = read_model_file(path)
    assert model.labels == whole.labels
    assert model.manifest == whole.manifest
    assert model.model_bytes == whole.model_bytes


def test_a_uint8_model_from_elsewhere_gets_pixels_as_they_are(shared_data: Path) -> None:
    model = read_model_file(shared_data / "models" / "mobilenet_v1_0.25_224_quant.tflite")
    assert (model.contract.crop, model.contract.interpolation, model.contract.color) == ("stretch", "linear", "rgb")
    np.testing.assert_array_equal(pixel_table(model.contract, model.input_tensor)[:, 0], np.arange(256))


def test_a_float_model_without_metadata_asks_for_what_is_missing(shared_data: Path) -> None:
    path = shared_data / "models" / "mobilenet_v1_0.25_224_float.tflite"
    with pytest.raises(ModelError, match=r"contract=InputContract\(height=224, width=224"):
        read_model_file(path)
    contract = InputContract(224, 224, crop="stretch", interpolation="linear", mean=(127.5,), std=(127.5,))
    with pytest.raises(ModelError, match="Pass labels= with 1001 names"):
        read_model_file(path, contract=contract)
    model = read_model_file(path, contract=contract, labels=[str(i) for i in range(1001)])
    assert not model.is_quantized
    assert model.activation == "softmax"
    assert model.input_tensor.dtype == "float32"


def test_reading_is_quick(shared_data: Path) -> None:
    path = shared_data / "models" / "mobilenet_v1_0.25_224_quant.tflite"
    times = []
    for _ in range(5):
        start = time.perf_counter()
        read_model_file(path)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.05  # 3 to 5 ms on a quiet machine


def test_reading_loads_neither_zipfile_nor_an_interpreter(tiny_int8: Path) -> None:
    code = (
        "import sys; from edge_runtime.model.file import read_model_file; read_model_file(sys.argv[1]); "
        "print([m for m in ('zipfile', 'cv2', 'tensorflow', 'tflite_runtime', 'flatbuffers') if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_int8)], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_labels_and_input_size_are_read_apart(tiny_int8: Path, tmp_path: Path) -> None:
    assert input_size(tiny_int8) == (32, 32)
    path = _write(tmp_path / "labels.txt", "\ufeffcat\r\ngroße dog\r\n".encode())
    assert read_labels(path) == ("cat", "große dog")
    with pytest.raises(ModelError, match=r"none\.txt"):
        read_labels(tmp_path / "none.txt")


def test_a_zip_that_would_fill_the_memory_is_refused(tiny_int8: Path, tmp_path: Path) -> None:
    model = tiny_int8.read_bytes()[: read_model_file(tiny_int8).model_bytes]
    bomb, many = _write(tmp_path / "bomb.tflite", model), _write(tmp_path / "many.tflite", model)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE_NAME, b"\0" * (1 << 25))
    with pytest.raises(ModelError, match="at most 16 MiB are allowed"):
        read_model_file(bomb)
    with zipfile.ZipFile(many, "a") as archive:
        for number in range(65):
            archive.writestr(f"{number}.txt", b"")
    with pytest.raises(ModelError, match="contains 65 files; at most 64"):
        read_model_file(many)


def test_a_file_that_holds_more_than_it_announces_is_damaged(tiny_int8: Path, tmp_path: Path) -> None:
    path = _write(tmp_path / "liar.tflite", tiny_int8.read_bytes()[: read_model_file(tiny_int8).model_bytes])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE_NAME, b"\0" * (1 << 20))
    content = bytearray(path.read_bytes())
    entry = content.rfind(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (10).to_bytes(4, "little")  # the unpacked size
    with pytest.raises(ModelError, match="damaged"):
        read_model_file(_write(path, bytes(content)))
