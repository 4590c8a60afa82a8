from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_runtime.types import InputContract
from trainer.quantization.preparation.rounding import round_kernels, round_to_grid

CONTRACT = InputContract(16, 16)


def network() -> Any:
    """A depthwise filter whose weights nearly cancel, under a batch normalization that multiplies what is left."""
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(3)
    image = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, 2, use_bias=False, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="conv_bn")(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, use_bias=False, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.ReLU(6.0)(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Add()([x, layers.Conv2D(8, 1, name="side")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    model = tf_keras.Model(image, layers.Dense(3, activation="softmax", name="head")(x))
    rng = np.random.default_rng(0)
    model.get_layer("conv_bn").set_weights([np.full(8, 0.3), np.full(8, 2.0), np.zeros(8), np.ones(8)])
    kernel = rng.normal(size=(3, 3, 8, 1))
    kernel -= kernel.mean((0, 1), keepdims=True)
    model.get_layer("depthwise").set_weights([kernel])
    model.get_layer("depthwise_bn").set_weights([np.full(8, 20.0), np.full(8, 3.0), np.zeros(8), np.ones(8)])
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.kron(rng.integers(60, 200, (32, 4, 4, 3)), np.ones((1, 4, 4, 1))).astype(np.uint8)


def outputs(model: Any, images: np.ndarray, layer: str) -> np.ndarray:
    import tf_keras

    part = tf_keras.Model(model.input, model.get_layer(layer).output)
    return part.predict((images.astype(np.float32) - 128) / 127.5, verbose=0)


def test_the_kernels_lie_on_the_grid_and_the_model_given_is_not_changed(images: np.ndarray) -> None:
    model = network()
    before = model.get_weights()
    rounded = round_kernels(model, images, contract=CONTRACT)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    for name, depthwise in (("conv", False), ("depthwise", True), ("side", False), ("head", False)):
        kernel = rounded.get_layer(name).get_weights()[0]
        np.testing.assert_allclose(round_to_grid(kernel, depthwise=depthwise), kernel, rtol=1e-5, atol=1e-8)
        assert not np.array_equal(kernel, model.get_layer(name).get_weights()[0])


def test_the_mean_outputs_stay_where_they_were(images: np.ndarray) -> None:
    model = network()
    rounded = round_kernels(model, images, contract=CONTRACT)
    plain = network()
    for name, depthwise in (("conv", False), ("depthwise", True), ("side", False), ("head", False)):
        kernel, *rest = plain.get_layer(name).get_weights()
        plain.get_layer(name).set_weights([round_to_grid(kernel, depthwise=depthwise), *rest])
    for layer in ("depthwise_bn", "side"):
        exact = outputs(model, images, layer).mean((0, 1, 2))
        corrected = np.abs(outputs(rounded, images, layer).mean((0, 1, 2)) - exact).max()
        uncorrected = np.abs(outputs(plain, images, layer).mean((0, 1, 2)) - exact).max()
        assert corrected < 1e-3
        assert corrected < uncorrected / 10


def test_a_layer_that_cannot_be_corrected_is_left_as_it_is(images: np.ndarray) -> None:
    import tf_keras
    from tf_keras import layers

    image = layers.Input((16, 16, 3))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, use_bias=False, name="bare")(image))
    model = tf_keras.Model(image, layers.Softmax()(pooled))
    rounded = round_kernels(model, images, contract=CONTRACT)
    assert np.array_equal(rounded.get_layer("bare").get_weights()[0], model.get_layer("bare").get_weights()[0])


@given(arrays(np.float32, (3, 3, 4, 5), elements=st.floats(-10, 10, width=32)))
def test_rounding_moves_no_weight_by_more_than_half_a_step(kernel: np.ndarray) -> None:
    for depthwise, axes in ((False, (0, 1, 2)), (True, (0, 1))):
        step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
        assert (np.abs(round_to_grid(kernel, depthwise=depthwise) - kernel) <= step * 0.5001 + 1e-30).all()
    dense = kernel.reshape(-1, 5)
    assert (np.abs(round_to_grid(dense, depthwise=False) - dense) <= np.abs(dense).max() / 127 * 0.5001 + 1e-30).all()
