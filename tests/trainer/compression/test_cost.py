from __future__ import annotations

from typing import Any

import pytest

from trainer.compression.cost import count_macs, layer_macs, layer_widths
from trainer.errors import CompressionError
from trainer.training.networks.backbones import build_model, get_backbone


def network(size: int | None = 16) -> Any:
    import tf_keras
    from tf_keras import layers

    image = layers.Input((size, size, 3))
    x = layers.Conv2D(8, 3, 2, padding="same", name="conv")(image)
    x = layers.BatchNormalization(name="batch_norm")(x)
    x = layers.DepthwiseConv2D(5, padding="valid", name="depthwise")(x)
    x = layers.Conv2D(12, 3, padding="same", groups=4, use_bias=False, name="grouped")(x)
    x = layers.SeparableConv2D(6, 3, padding="same", use_bias=False, name="separable")(x)
    x = layers.Dense(5, name="head")(layers.GlobalAveragePooling2D()(x))
    return tf_keras.Model(image, x)


def test_each_kernel_works_at_each_output_pixel() -> None:
    assert layer_macs(network()) == {
        "conv": 8 * 8 * 3 * 3 * 3 * 8,
        "depthwise": 4 * 4 * 5 * 5 * 8,
        "grouped": 4 * 4 * 3 * 3 * (8 // 4) * 12,
        "separable": 4 * 4 * (3 * 3 * 12 + 12 * 6),
        "head": 6 * 5,
    }
    assert count_macs(network()) == sum(layer_macs(network()).values())


def test_a_layer_that_is_called_twice_counts_twice() -> None:
    import tf_keras
    from tf_keras import layers

    image = layers.Input((8, 8, 4))
    conv = layers.Conv2D(4, 1, name="conv")
    once, twice = conv(image), conv(conv(image))
    assert layer_macs(tf_keras.Model(image, layers.Add()([once, twice]))) == {"conv": 3 * 8 * 8 * 4 * 4}


def test_figures_are_those_of_the_paper() -> None:
    # Howard et al., "MobileNets", 2017, table 6: 41 million multiply-adds
    model = build_model(get_backbone("mobilenet_v1_0.25"), num_classes=1000, input_size=224)
    assert round(count_macs(model) / 1e6) == 41


def test_widths_are_those_of_convolutions() -> None:
    assert layer_widths(network()) == {"conv": 8, "grouped": 12}


def test_the_input_size_has_to_be_fixed() -> None:
    with pytest.raises(CompressionError, match=r"not fixed: \(None, None, None, 3\)"):
        count_macs(network(size=None))
