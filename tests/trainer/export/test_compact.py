from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime.inference.interpreter import BACKENDS
from edge_runtime.model.file import read_model_file
from tests.support.tiny import CONTRACT, LABELS
from trainer.export.compact import compact
from trainer.quantization.calibration import representative_set
from trainer.quantization.convert import convert_fp32, convert_int8

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.support.tiny import TinyModels


@pytest.fixture(scope="module")
def converted(tiny_models: TinyModels) -> dict[str, bytes]:
    images, _ = representative_set(tiny_models.pixels, 30, 0, len(LABELS))
    return {
        "fp32": convert_fp32(tiny_models.keras),
        "int8": convert_int8(tiny_models.keras, images, contract=CONTRACT),
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("int8_kernels", ["off", "on"])
@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_the_network_is_the_same_bit_for_bit(
    kind: str, int8_kernels: Any, backend: str, converted: dict[str, bytes], tiny_models: TinyModels, tmp_path: Path
) -> None:
    pytest.importorskip(backend)
    answers = []
    for name, content in (("before", converted[kind]), ("after", compact(converted[kind]))):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        answers.append(_run(path, tiny_models.pixels.images[:20], backend, int8_kernels))
    np.testing.assert_array_equal(answers[0][0], answers[1][0])
    assert answers[0][1:] == answers[1][1:], "delegated and all operations"


def _run(
    path: Path, photos: NDArray[np.uint8], backend: str, int8_kernels: Any
) -> tuple[NDArray[Any], int | None, int | None]:
    from edge_runtime import BackendError, Classifier

    try:
        classifier = Classifier(path, backend=backend, int8_kernels=int8_kernels, labels=LABELS, contract=CONTRACT)
    except BackendError as error:
        pytest.skip(str(error))
    with classifier:
        outputs = np.stack([classifier.raw_output(photo, color="rgb") for photo in photos])
        return outputs, classifier.backend.delegated_ops, classifier.backend.total_ops


def test_an_int8_file_gets_smaller(converted: dict[str, bytes]) -> None:
    assert len(compact(converted["int8"])) < 0.9 * len(converted["int8"])


def test_entries_are_added_and_the_runtime_version_is_kept(converted: dict[str, bytes], tmp_path: Path) -> None:
    for kind, content in converted.items():
        path = tmp_path / f"{kind}.tflite"
        path.write_bytes(compact(content, {"NOTE": b"hello", "TFLITE_METADATA": b"\0\0\0\0M001" + bytes(8)}))
        assert b"hello" in path.read_bytes()
        path.write_bytes(compact(content))
        before = tmp_path / "before.tflite"
        before.write_bytes(content)
        models = [read_model_file(one, labels=LABELS, contract=CONTRACT) for one in (path, before)]
        assert models[0].min_runtime_version == models[1].min_runtime_version != ""
        assert models[0].operators == models[1].operators


def test_constants_stay_aligned_as_kernels_want_them(converted: dict[str, bytes]) -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    content = compact(converted["int8"])
    model = schema.Model.GetRootAs(content, 0)
    address = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    starts = [
        buffer.DataAsNumpy().__array_interface__["data"][0] - address
        for buffer in (model.Buffers(i) for i in range(model.BuffersLength()))
        if not buffer.DataIsNone()
    ]
    assert starts
    assert all(start % 16 == 0 for start in starts)


def test_it_is_idempotent(converted: dict[str, bytes]) -> None:
    once = compact(converted["int8"])
    assert compact(once) == once
