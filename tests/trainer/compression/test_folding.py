from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from trainer.compression.folding import fold_batch_norms
from trainer.training.networks.backbones import BACKBONES, build_model, get_backbone

RNG = np.random.default_rng(3)
IMAGES = RNG.normal(size=(4, 32, 32, 3)).astype(np.float32)


def batch_norms(model: Any) -> list[Any]:
    import tf_keras

    return [layer for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)]


def with_statistics(model: Any) -> Any:
    """The model, as if it had been trained: its batch normalizations do something, and no signal dies."""
    for layer in batch_norms(model):
        layer.momentum = 0.0
        for weight in layer.trainable_weights:
            weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
    model(IMAGES, training=True)
    return model


@pytest.mark.parametrize("name", BACKBONES)
def test_a_folded_backbone_computes_the_same_without_batch_normalization(name: str) -> None:
    model = with_statistics(build_model(get_backbone(name), num_classes=3, input_size=32))
    folded = fold_batch_norms(model)
    assert not batch_norms(folded)
    assert {layer.name for layer in folded.layers} < {layer.name for layer in model.layers}
    assert len(np.unique(model(IMAGES).numpy())) > 3
    np.testing.assert_allclose(folded(IMAGES).numpy(), model(IMAGES).numpy(), rtol=1e-3, atol=1e-5)


def test_every_form_of_the_layers_is_folded() -> None:
    import tf_keras
    from tf_keras import layers

    model = tf_keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(8, 3, bias_initializer="ones"),
            layers.BatchNormalization(scale=False),
            layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, activation="linear"),
            layers.BatchNormalization(center=False),
            layers.Conv2D(8, 1, groups=4, use_bias=False),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5),
            layers.BatchNormalization(),
        ]
    )
    folded = fold_batch_norms(with_statistics(model))
    assert not batch_norms(folded)
    np.testing.assert_allclose(folded(IMAGES).numpy(), model(IMAGES).numpy(), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_folded_stays() -> None:
    import tf_keras
    from tf_keras import layers

    image = layers.Input((32, 32, 3))
    first = layers.BatchNormalization(name="after_nothing")(image)
    clipped = layers.BatchNormalization(name="after_relu")(layers.Conv2D(4, 1, activation="relu")(first))
    shared = layers.Conv2D(4, 1)(clipped)
    branch = layers.BatchNormalization(name="beside_another")(shared)
    rows = layers.BatchNormalization(name="over_rows", axis=1)(layers.Conv2D(4, 1)(layers.Add()([branch, shared])))
    turned = layers.BatchNormalization(name="after_transpose")(layers.Conv2DTranspose(4, 1)(rows))
    model = with_statistics(tf_keras.Model(image, turned))
    folded = fold_batch_norms(model)
    assert [layer.name for layer in batch_norms(folded)] == [layer.name for layer in batch_norms(model)]
    np.testing.assert_allclose(folded(IMAGES).numpy(), model(IMAGES).numpy(), rtol=1e-4, atol=1e-5)


def test_the_model_itself_is_not_changed() -> None:
    model = with_statistics(build_model(get_backbone("basic_cnn"), num_classes=3, input_size=32))
    before = model.get_weights()
    fold_batch_norms(model).layers[1].set_weights([np.zeros((3, 3, 3, 16)), np.zeros(16)])
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
