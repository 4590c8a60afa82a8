"""Quantization error per layer: a layer that is made hard to quantize comes first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.tiny import CONTRACT, LABELS
from trainer.errors import ConversionError
from trainer.quantization.calibration import representative_set
from trainer.quantization.layer_errors import layer_errors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.support.tiny import TinyModels


@pytest.fixture(scope="module")
def images(tiny_models: TinyModels) -> NDArray[np.uint8]:
    return representative_set(tiny_models.pixels, 30, 0, len(LABELS))[0]


def test_each_layer_is_measured_and_the_worst_comes_first(
    tiny_models: TinyModels, images: NDArray[np.uint8], capfd: pytest.CaptureFixture[str]
) -> None:
    errors = layer_errors(tiny_models.keras, images, contract=CONTRACT)
    assert {"conv1", "conv2", "conv3"} <= {error.name for error in errors}
    sizes = [error.rmse_over_scale for error in errors]
    assert sizes == sorted(sizes, reverse=True)
    assert all(0 <= size < 10 for size in sizes)
    assert capfd.readouterr() == ("", "")


def test_a_layer_that_quantizes_badly_is_the_worst(tiny_models: TinyModels, images: NDArray[np.uint8]) -> None:
    import tf_keras

    model = tf_keras.models.clone_model(tiny_models.keras)
    model.set_weights(tiny_models.keras.get_weights())
    kernel = model.get_layer("conv3").get_weights()[0]
    # One weight sets the scale of each output channel; the input channel that it reads is always zero.
    kernel[..., 0, :] = 200 * np.abs(kernel).max()
    model.get_layer("conv3").set_weights([kernel])
    gamma, beta, mean, variance = model.get_layer("conv2_bn").get_weights()
    gamma[0], beta[0] = 0.0, 0.0
    model.get_layer("conv2_bn").set_weights([gamma, beta, mean, variance])
    before = {e.name: e.rmse_over_scale for e in layer_errors(tiny_models.keras, images, contract=CONTRACT)}
    errors = layer_errors(model, images, contract=CONTRACT)
    assert errors[0].name == "conv3"
    assert errors[0].rmse_over_scale > 3 * before["conv3"]


def test_no_pictures_are_refused(tiny_models: TinyModels, images: NDArray[np.uint8]) -> None:
    with pytest.raises(ConversionError, match="representative dataset"):
        layer_errors(tiny_models.keras, images[:0], contract=CONTRACT)
