from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.support.tiny import CONTRACT, LABELS, SIZE
from trainer.errors import ConversionError
from trainer.quantization.calibration import representative_set
from trainer.quantization.convert import check_int8, convert_int8
from trainer.workflows.external.keras_models import load_keras

if TYPE_CHECKING:
    from tests.support.tiny import TinyModels

_KERAS_3 = """
import sys
import keras
from keras import layers
model = keras.Sequential([
    layers.Input((32, 32, 3)), layers.Conv2D(4, 3, strides=4, activation="relu"), layers.GlobalAveragePooling2D(),
    layers.Dense(3, activation="softmax"),
])
for path in sys.argv[1:]:
    model.save(path)
"""


def _scores(network: Any, photos: np.ndarray) -> np.ndarray:
    import tensorflow as tf

    images = tf.constant((photos.astype(np.float32) - 128) / 127.5)
    return np.asarray(network(images, training=False))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ["model.keras", "model.h5", "saved"])
def test_keras_2_files_and_saved_models_load(name: str, tiny_models: TinyModels, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "saved":
        _save(tiny_models.keras, path)
    else:
        tiny_models.keras.save(path)
    network = load_keras(path)
    assert tuple(network.input_shape) == (None, SIZE, SIZE, 3)
    photos = tiny_models.pixels.images[:4]
    np.testing.assert_allclose(_scores(network, photos), _scores(tiny_models.keras, photos), atol=1e-5)
    images, _ = representative_set(tiny_models.pixels, 6, 0, len(LABELS))
    check_int8(convert_int8(network, images, contract=CONTRACT), contract=CONTRACT, io="int8")


def _save(model: Any, path: Path) -> None:
    import tensorflow as tf

    tf.saved_model.save(model, str(path))


@pytest.fixture(scope="module")
def keras_3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as ``model.keras`` and ``model.h5``, saved by Keras 3."""
    pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("keras3")
    subprocess.run(
        [sys.executable, "-c", _KERAS_3, str(folder / "model.keras"), str(folder / "model.h5")],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "0"},
        capture_output=True,
        check=True,
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_keras_3_files_load(name: str, keras_3: Path, tiny_models: TinyModels) -> None:
    network = load_keras(keras_3 / name)
    assert tuple(network.input_shape)[1:] == (SIZE, SIZE, 3)
    scores = _scores(network, tiny_models.pixels.images[:4])
    assert scores.shape == (4, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    images, _ = representative_set(tiny_models.pixels, 6, 0, len(LABELS))
    check_int8(convert_int8(network, images, contract=CONTRACT), contract=CONTRACT, io="int8")


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="does not exist"):
        load_keras(tmp_path / "none.keras")
    (tmp_path / "notes.keras").write_text("notes")
    with pytest.raises(ConversionError, match="is not a Keras model"):
        load_keras(tmp_path / "notes.keras")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConversionError, match=r"contains no saved_model\.pb"):
        load_keras(tmp_path / "folder")


def test_weights_alone_are_refused(tiny_models: TinyModels, tmp_path: Path) -> None:
    tiny_models.keras.save_weights(tmp_path / "weights.h5")
    with pytest.raises(ConversionError, match="weights alone"):
        load_keras(tmp_path / "weights.h5")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_damaged_file_is_one_clear_error(name: str, tiny_models: TinyModels, tmp_path: Path) -> None:
    path = tmp_path / name
    tiny_models.keras.save(path)
    content = path.read_bytes()
    half = len(content) // 2
    changed = bytes(byte ^ 0x55 for byte in content[half : half + 500])
    # HDF5 has no checksums, so only a cut one can be told.
    kinds = [content[:half], content[:half] + changed + content[half + 500 :]]
    for damaged in kinds if name.endswith("keras") else kinds[:1]:
        path.write_bytes(damaged)
        with pytest.raises(ConversionError, match=name) as caught:
            load_keras(path)
        assert "\n" not in str(caught.value)


def test_several_inputs_and_other_inputs_are_refused(tmp_path: Path) -> None:
    import tf_keras
    from tf_keras import layers

    one, two = layers.Input((8, 8, 3)), layers.Input((8, 8, 3))
    tf_keras.Model([one, two], layers.Add()([one, two])).save(tmp_path / "two.keras")
    with pytest.raises(ConversionError, match="one input and one output, got 2 and 1"):
        load_keras(tmp_path / "two.keras")
    vector = layers.Input((8,))
    tf_keras.Model(vector, layers.Dense(2)(vector)).save(tmp_path / "vector.keras")
    with pytest.raises(ConversionError, match=r"input of shape \(None, 8\)"):
        load_keras(tmp_path / "vector.keras")
