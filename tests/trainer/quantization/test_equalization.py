from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge_runtime.types import InputContract
from trainer.quantization.preparation.equalization import equalize
from trainer.quantization.preparation.prepare import prepare_for_int8

CONTRACT = InputContract(16, 16)


def network(activation: str | None = None) -> Any:
    """Two linear bottlenecks with channels of very different ranges, their sum, and its reader."""
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(4)
    image = layers.Input((16, 16, 3))

    def bottleneck(x: Any, name: str) -> Any:
        x = layers.Conv2D(6, 3, padding="same", use_bias=False, name=name)(x)
        return layers.BatchNormalization(name=f"{name}_bn")(x)

    first = bottleneck(image, "first")
    inner = layers.ReLU(6.0)(layers.Conv2D(8, 1, name="inner")(first))
    total = layers.Add(name="sum")([first, bottleneck(inner, "second")])
    if activation:
        total = layers.Activation(activation)(total)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 1, activation="relu", name="reader")(total))
    model = tf_keras.Model(image, layers.Dense(3, activation="softmax", name="head")(x))
    gamma = np.array([0.05, 0.1, 0.5, 1.0, 5.0, 20.0])
    for name in ("first_bn", "second_bn"):
        model.get_layer(name).set_weights([gamma, gamma, np.zeros(6), np.ones(6)])
    return model


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (24, 16, 16, 3)).astype(np.uint8)


def outputs(model: Any, images: np.ndarray, layer: str) -> np.ndarray:
    import tf_keras

    part = tf_keras.Model(model.input, model.get_layer(layer).output)
    return part.predict((images.astype(np.float32) - 128) / 127.5, verbose=0)


def test_the_network_computes_the_same_and_the_model_given_is_not_changed(images: np.ndarray) -> None:
    model = network()
    before = model.get_weights()
    balanced = equalize(model, images, contract=CONTRACT)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    np.testing.assert_allclose(outputs(balanced, images, "head"), outputs(model, images, "head"), atol=1e-5)
    assert not np.array_equal(
        balanced.get_layer("first_bn").get_weights()[0], model.get_layer("first_bn").get_weights()[0]
    )


def test_channels_come_closer_in_range(images: np.ndarray) -> None:
    def spread(model: Any) -> float:
        largest = np.abs(outputs(model, images, "sum")).max((0, 1, 2))
        return float(largest.max() / largest.min())

    model = network()
    assert spread(equalize(model, images, contract=CONTRACT)) < spread(model) / 3


def test_what_is_clipped_before_it_is_read_stays_as_it_is(images: np.ndarray) -> None:
    model = network(activation="relu6")
    balanced = equalize(model, images, contract=CONTRACT)
    for layer in ("first_bn", "second_bn"):
        assert np.array_equal(balanced.get_layer(layer).get_weights()[0], model.get_layer(layer).get_weights()[0])


def test_a_network_that_does_not_tell_its_layers_is_left_alone(images: np.ndarray) -> None:
    strange = object()
    assert prepare_for_int8(strange, images, contract=CONTRACT) is strange
