from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge_runtime import Classifier
from edge_runtime.pixels.preprocess import pixel_table
from edge_runtime.types import InputContract, TensorSpec
from tests.support.tiny import CONTRACT, LABELS, SIZE
from trainer.errors import ConversionError
from trainer.export.model_file import Exporter
from trainer.quantization.calibration import representative_set
from trainer.quantization.convert import (
    check_int8,
    convert_dynamic_range,
    convert_float16,
    convert_fp32,
    convert_int8,
    convert_int16,
)
from trainer.quantization.converted_graph import count_float_operations, dtypes_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.support.tiny import TinyModels


@pytest.fixture(scope="module")
def images(tiny_models: TinyModels) -> NDArray[np.uint8]:
    return representative_set(tiny_models.pixels, 30, 0, len(LABELS))[0]


@pytest.fixture(scope="module")
def int8(tiny_models: TinyModels, images: NDArray[np.uint8]) -> bytes:
    return convert_int8(tiny_models.keras, images, contract=CONTRACT)


def test_int8_takes_pixels_minus_128_and_is_integer_throughout(int8: bytes, tmp_path: Path) -> None:
    model = Exporter(LABELS, CONTRACT).write(tmp_path / "m.tflite", int8, check=False)
    assert model.input_tensor == TensorSpec("int8", (1, SIZE, SIZE, 3), float(np.float32(1 / 127.5)), 0)
    np.testing.assert_array_equal(pixel_table(CONTRACT, model.input_tensor)[:, 0], np.arange(256) - 128)
    assert model.output_tensor.dtype == "int8"
    assert model.is_quantized
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(dict(model.operators))


def test_the_kernels_for_int8_take_all_but_the_softmax(int8: bytes, tmp_path: Path) -> None:
    Exporter(LABELS, CONTRACT).write(tmp_path / "m.tflite", int8, check=False)
    with Classifier(tmp_path / "m.tflite", num_threads=1) as classifier:
        if classifier.backend.int8_kernels != "on":
            pytest.skip(f"no kernels for INT8: {classifier.backend.int8_kernels_reason}")
        assert classifier.backend.undelegated == ("SOFTMAX",)


def test_uint8_takes_pixels_as_they_are(tiny_models: TinyModels, images: NDArray[np.uint8], tmp_path: Path) -> None:
    content = convert_int8(tiny_models.keras, images, contract=CONTRACT, io="uint8")
    model = Exporter(LABELS, CONTRACT).write(tmp_path / "m.tflite", content, check=False)
    np.testing.assert_array_equal(pixel_table(CONTRACT, model.input_tensor)[:, 0], np.arange(256))
    assert model.output_tensor.dtype == "uint8"


def test_fp32_gives_what_keras_gives(tiny_models: TinyModels) -> None:
    photos = tiny_models.pixels.images[:12]
    expected = tiny_models.keras.predict((photos.astype(np.float32) - 128) / 127.5, verbose=0)
    with Classifier(tiny_models.fp32) as classifier:
        got = np.stack([classifier.scores(photo, color="rgb") for photo in photos])
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_int8_agrees_with_fp32(tiny_models: TinyModels) -> None:
    photos = tiny_models.pixels.images[:60]
    answers = []
    for path in (tiny_models.fp32, tiny_models.int8):
        with Classifier(path) as classifier:
            answers.append([int(classifier.scores(photo, color="rgb").argmax()) for photo in photos])
    assert np.mean(np.equal(*answers)) > 0.9


def test_conversion_says_nothing_unless_asked(
    tiny_models: TinyModels, images: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    convert_int8(tiny_models.keras, images[-2:], contract=CONTRACT)
    assert capfd.readouterr() == ("", "")


def test_the_same_network_gives_the_same_bytes(
    tiny_models: TinyModels, images: NDArray[np.uint8], int8: bytes, tmp_path: Path
) -> None:
    exported = []
    for number, content in enumerate((int8, convert_int8(tiny_models.keras, images, contract=CONTRACT))):
        folder = tmp_path / str(number)
        folder.mkdir()
        exported.append(Exporter(LABELS, CONTRACT).write(folder / "m.tflite", content, check=False).path.read_bytes())
    assert exported[0] == exported[1]


@pytest.mark.parametrize(("mean", "std"), [((127.0,), (128.0,)), ((0.0,), (255.0,)), ((127.5,), (127.5,))])
def test_other_normalizations_give_exact_pixels_too(
    mean: tuple[float, ...], std: tuple[float, ...], tiny_models: TinyModels, images: NDArray[np.uint8]
) -> None:
    contract = InputContract(SIZE, SIZE, mean=mean, std=std)
    check_int8(convert_int8(tiny_models.keras, images[-3:], contract=contract), contract=contract, io="int8")


@pytest.mark.parametrize("precision", ["float16", "dynamic_range", "int16"])
def test_other_precisions_run_on_the_device_and_answer_like_fp32(
    precision: str, tiny_models: TinyModels, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    convert = {
        "float16": lambda: convert_float16(tiny_models.keras),
        "dynamic_range": lambda: convert_dynamic_range(tiny_models.keras),
        "int16": lambda: convert_int16(tiny_models.keras, images, contract=CONTRACT),
    }[precision]
    path = tmp_path / "m.tflite"
    model = Exporter(LABELS, CONTRACT).write(path, convert())
    assert (model.input_tensor.dtype, model.output_tensor.dtype) == ("float32", "float32")
    with Classifier(path) as classifier, Classifier(tiny_models.fp32) as fp32:
        for photo in tiny_models.pixels.images[:12]:
            np.testing.assert_allclose(
                classifier.scores(photo, color="rgb"), fp32.scores(photo, color="rgb"), atol=0.03
            )


def test_float16_halves_the_weights(tiny_models: TinyModels) -> None:
    assert dtypes_of(convert_float16(tiny_models.keras)) >= {"float16"}
    assert "float16" not in dtypes_of(convert_fp32(tiny_models.keras))


def test_layers_can_stay_in_float(tiny_models: TinyModels, images: NDArray[np.uint8], tmp_path: Path) -> None:
    content = convert_int8(tiny_models.keras, images, contract=CONTRACT, float_layers=("conv3",))
    assert count_float_operations(content) == 1
    path = tmp_path / "m.tflite"
    assert Exporter(LABELS, CONTRACT).write(path, content).input_tensor.dtype == "int8"
    with pytest.raises(ConversionError, match=r"names conv9, .* layers are conv1, conv2, conv3"):
        convert_int8(tiny_models.keras, images, contract=CONTRACT, float_layers=("conv9",))


def test_no_pictures_are_refused_and_give_no_silent_float_model(tiny_models: TinyModels) -> None:
    with pytest.raises(ConversionError, match="Expected a representative dataset"):
        convert_int8(tiny_models.keras, np.empty((0, SIZE, SIZE, 3), np.uint8), contract=CONTRACT)


def test_float_pictures_and_another_size_are_refused(tiny_models: TinyModels, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ConversionError, match="got float32"):
        convert_int8(tiny_models.keras, images.astype(np.float32), contract=CONTRACT)  # type: ignore[arg-type]
    with pytest.raises(ConversionError, match=r"\(32, 32, 3\), got uint8 of shape \(\d+, 16, 32, 3\)"):
        convert_int8(tiny_models.keras, images[:, :16], contract=CONTRACT)


def test_calibration_that_misses_black_and_white_is_refused(tiny_models: TinyModels, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ConversionError, match=r"exact pixels minus 128\. Calibrate with pictures"):
        convert_int8(tiny_models.keras, np.clip(images[:4], 60, 180), contract=CONTRACT)


def test_a_float_model_does_not_pass_for_int8(tiny_models: TinyModels) -> None:
    with pytest.raises(ConversionError, match="whose input is float32 instead of int8"):
        check_int8(convert_fp32(tiny_models.keras), contract=CONTRACT, io="int8")


class _OpenSize:
    input_shape = (None, None, None, 3)

    def __call__(self, images: Any, training: bool = False) -> Any:
        return images


class _Undrawable(_OpenSize):
    """An operation that TensorFlow Lite does not support."""

    input_shape = (None, 8, 8, 3)

    def __call__(self, images: Any, training: bool = False) -> Any:
        import tensorflow as tf

        return tf.linalg.qr(images[:, :, :, 0])[0]


def test_a_network_of_open_size_is_refused() -> None:
    with pytest.raises(ConversionError, match=r"input shape \(None, None, None, 3\) is not supported"):
        convert_fp32(_OpenSize())


def test_a_network_that_cannot_be_converted_is_one_clear_error() -> None:
    with pytest.raises(ConversionError, match="TensorFlow's converter failed: ") as caught:
        convert_fp32(_Undrawable())
    assert "\n" not in str(caught.value)
