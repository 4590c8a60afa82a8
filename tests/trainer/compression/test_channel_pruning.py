from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.types import InputContract
from trainer.compression.channel_pruning import least_share, plan_widths, prune, rebuild
from trainer.compression.channels import ChannelGroup, channel_groups
from trainer.compression.cost import count_macs, layer_widths
from trainer.compression.importance import channel_importance
from trainer.config import PruneConfig
from trainer.errors import CompressionError
from trainer.quantization.convert import convert_fp32, convert_int8
from trainer.quantization.preparation.prepare import prepare_for_int8
from trainer.training.networks.backbones import build_model, get_backbone
from trainer.types import Pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tests.support.tiny import TinyModels

# How many groups each family has: its convolutions, less those whose output is added to another or gated.
BACKBONES = {
    "basic_cnn": 5,
    "mobilenet_v1_0.25": 14,
    "mobilenet_v2_0.35": 20,
    "mobilenet_v3_small": 12,
    "mobilenet_v3_small_minimalistic": 13,
    "efficientnet_lite0": 19,
}
SIZE = 16
CONTRACT = InputContract(SIZE, SIZE)


def with_random_weights(model: Any) -> Any:
    """Batch normalizations as if trained, biases that aren't zero."""
    rng = np.random.default_rng(5)
    for layer in model.layers:
        weights = layer.get_weights()
        vectors = [w.ndim == 1 for w in weights]
        layer.set_weights([rng.uniform(0.3, 1.5, w.shape) if v else w for w, v in zip(weights, vectors, strict=True)])
    return model


@cache
def backbone(name: str) -> Any:
    return with_random_weights(build_model(get_backbone(name), num_classes=3, input_size=96))


@cache
def blocks() -> Any:
    """A small MobileNetV2: a stem, an inverted residual block with its sum, one without, and a top."""
    import tf_keras
    from tf_keras import layers

    def conv(x: Any, filters: int, name: str, kernel: int = 1, **options: Any) -> Any:
        x = layers.Conv2D(filters, kernel, padding="same", use_bias=False, name=name, **options)(x)
        return layers.BatchNormalization(name=f"{name}_bn")(x)

    def block(x: Any, expansion: int, filters: int, name: str, strides: int = 1) -> Any:
        x = layers.ReLU(6.0)(conv(x, expansion, f"{name}_expand"))
        x = layers.ZeroPadding2D(1)(x)
        x = layers.DepthwiseConv2D(3, strides, name=f"{name}_depthwise")(x)  # with a bias
        x = layers.ReLU(6.0)(layers.BatchNormalization(name=f"{name}_depthwise_bn")(x))
        return conv(x, filters, f"{name}_project")

    tf_keras.utils.set_random_seed(3)
    image = layers.Input((SIZE, SIZE, 3), name="image")
    x = layers.ReLU(6.0)(conv(image, 12, "stem", 3, strides=2))
    x = layers.Add(name="sum")([x, block(x, 36, 12, "first")])
    x = block(x, 40, 16, "second", strides=2)
    x = layers.Conv2D(24, 1, activation="relu", name="top")(x)
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D(name="features")(x))
    x = layers.Softmax(name="scores")(layers.Dense(3, name="head")(x))
    return with_random_weights(tf_keras.Model(image, x, name="blocks"))


def pixels(count: int = 24) -> Pixels:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)
    return Pixels(images, np.arange(count) % 3, tuple(f"{index}.png" for index in range(count)))


def logits(model: Any) -> NDArray[np.float32]:
    import tf_keras

    images = np.random.default_rng(0).uniform(-1, 1, (2, *model.input_shape[1:])).astype(np.float32)
    return np.asarray(tf_keras.Model(model.input, model.get_layer("head").output)(images, training=False))


def everything(model: Any) -> dict[str, tuple[int, ...]]:
    return {group.producer: tuple(range(group.width)) for group in channel_groups(model)}


@contextmanager
def masked(model: Any, kept: dict[str, tuple[int, ...]]) -> Iterator[Any]:
    """The network at full width; within the context, nothing reads the channels that are not kept."""
    whole = model.get_weights()
    for group in channel_groups(model):
        for name in group.consumers:
            kernel, *rest = model.get_layer(name).get_weights()
            gone = np.setdiff1d(np.arange(group.width), kept[group.producer])
            np.moveaxis(kernel, -2, 0)[gone] = 0.0
            model.get_layer(name).set_weights([kernel, *rest])
    try:
        yield model
    finally:
        model.set_weights(whole)


def random_importance(model: Any, seed: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return {g.producer: rng.random(g.width, np.float32) ** 4 for g in channel_groups(model)}


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_channels_to_take_out(name: str) -> None:
    model = backbone(name)
    groups = channel_groups(model)
    assert len(groups) == BACKBONES[name]
    assert least_share(model) < (0.9 if name == "mobilenet_v3_small" else 0.25)
    added = {
        tensor.node.layer.name for layer in model.layers if type(layer).__name__ == "Add" for tensor in layer.input
    }
    assert not added & {name for group in groups for name in group.batch_norms}


def test_a_group_is_what_has_to_shrink_together() -> None:
    first, second, project, top = channel_groups(blocks())
    assert first == ChannelGroup(
        "first_expand", ("first_expand_bn", "first_depthwise_bn"), ("first_depthwise",), ("first_project",), 36
    )
    assert second.producer == "second_expand"
    assert project == ChannelGroup("second_project", ("second_project_bn",), (), ("top",), 16)
    assert top == ChannelGroup("top", (), (), ("head",), 24)


def between(name: str, options: dict[str, Any]) -> Any:
    """Two convolutions with another layer in between."""
    import tf_keras
    from tf_keras import layers

    image = layers.Input((4, 4, 3))
    x = layers.Conv2D(16, 1, name="producer")(image)
    if name in ("Add", "Multiply", "Concatenate"):
        x = getattr(layers, name)()([x, layers.Conv2D(16, 1, activation="softmax")(image)])
    elif name == "operator":
        x = x * 2.0
    elif name == "shared":
        conv = layers.Conv2D(16, 1)
        x = conv(conv(x))
    elif name == "output":
        return tf_keras.Model(image, [x, layers.Conv2D(5, 1, activation="softmax")(x)])
    else:
        x = getattr(layers, name)(**options)(x)
    return tf_keras.Model(image, layers.Dense(5, name="consumer")(x))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("Add", "Multiply", "Concatenate", "operator", "shared", "output", "Softmax")),
        ("Flatten", {}),
        ("Reshape", {"target_shape": (16, 16)}),
        ("Activation", {"activation": "softmax"}),
        ("BatchNormalization", {"axis": 1}),
        ("DepthwiseConv2D", {"kernel_size": 1, "depth_multiplier": 2}),
        ("Conv2D", {"filters": 16, "kernel_size": 1, "groups": 2}),
        ("PReLU", {}),
    ],
)
def test_what_depends_on_all_channels_makes_no_group(name: str, options: dict[str, Any]) -> None:
    model = between(name, options)
    assert "producer" not in [group.producer for group in channel_groups(model)]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ReLU", {}),
        ("Activation", {"activation": "swish"}),
        ("BatchNormalization", {}),
        ("DepthwiseConv2D", {"kernel_size": 3}),
        ("MaxPooling2D", {}),
        ("GlobalAveragePooling2D", {}),
    ],
)
def test_what_keeps_channels_apart_makes_one(name: str, options: dict[str, Any]) -> None:
    (group,) = channel_groups(between(name, options))
    assert (group.producer, group.consumers) == ("producer", ("consumer",))


def test_flattening_one_pixel_keeps_channels_apart() -> None:
    import tf_keras
    from tf_keras import layers

    image = layers.Input((4, 4, 3))
    x = layers.Flatten()(layers.GlobalAveragePooling2D(keepdims=True)(layers.Conv2D(16, 1)(image)))
    assert len(channel_groups(tf_keras.Model(image, layers.Dense(5)(x)))) == 1


@pytest.mark.parametrize("name", BACKBONES)
def test_with_nothing_removed_the_outputs_are_the_same(name: str) -> None:
    model = backbone(name)
    same = rebuild(model, everything(model))
    assert [layer.name for layer in same.layers] == [layer.name for layer in model.layers]
    assert same.name == model.name
    assert np.array_equal(logits(same), logits(model))


@pytest.mark.parametrize("name", BACKBONES)
def test_the_smaller_network_computes_what_the_masked_one_does(name: str) -> None:
    model = backbone(name)
    kept = plan_widths(model, random_importance(model, seed=1), max(0.5, least_share(model)))
    weights, smaller = model.get_weights(), rebuild(model, kept)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    with masked(model, kept):
        expected = logits(model)
    np.testing.assert_allclose(logits(smaller), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@settings(max_examples=5)
@given(st.data())
def test_any_channels_can_go(data: st.DataObject) -> None:
    model = blocks()
    kept = {
        name: tuple(sorted(data.draw(st.sets(st.sampled_from(channels), min_size=1))))
        for name, channels in everything(model).items()
    }
    smaller = rebuild(model, kept)
    with masked(model, kept):
        expected = logits(model)
    np.testing.assert_allclose(logits(smaller), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    widths = layer_widths(smaller)
    assert {name: widths[name] for name in kept} == {name: len(channels) for name, channels in kept.items()}


@settings(max_examples=5)
@given(st.floats(0.0, 1.0), st.integers(0, 99))
def test_the_budget_is_met_by_the_last_chunk(share: float, seed: int) -> None:
    model = blocks()
    importance = random_importance(model, seed)
    least = least_share(model)
    keep_macs = least + share * (1.0 - least)
    kept, full = plan_widths(model, importance, keep_macs), everything(model)

    def share_of(kept: dict[str, tuple[int, ...]]) -> float:
        return count_macs(rebuild(model, kept)) / count_macs(model)

    assert share_of(kept) <= keep_macs
    shrunk = {name: len(channels) for name, channels in kept.items() if len(channels) < len(full[name])}
    assert all(width % 8 == 0 and width >= 8 for width in shrunk.values())
    with_one_chunk_back = (share_of({**kept, name: full[name][: width + 8]}) for name, width in shrunk.items())
    assert not shrunk or any(share > keep_macs for share in with_one_chunk_back)


def test_the_weakest_channels_of_a_layer_go() -> None:
    model = blocks()
    importance = random_importance(model, seed=7)
    for name, channels in plan_widths(model, importance, 0.5).items():
        assert set(channels) == set(np.argsort(importance[name])[-len(channels) :])


def test_a_chunk_is_worth_the_multiply_adds_it_saves() -> None:
    model = blocks()
    alike = {group.producer: np.ones(group.width, np.float32) for group in channel_groups(model)}
    widths = {name: len(channels) for name, channels in plan_widths(model, alike, 0.8).items()}
    # Of equal channels, those at four times as many pixels go first; the others cost little and stay.
    assert widths["first_expand"] < 36
    assert (widths["top"], widths["second_project"]) == (24, 16)


def test_a_budget_that_cannot_be_met_names_the_least() -> None:
    model, importance = blocks(), random_importance(blocks(), seed=0)
    least = least_share(model)
    assert 0.1 < least < 0.5
    assert {len(channels) for channels in plan_widths(model, importance, least).values()} == {8}
    named = int(np.ceil(least * 1000)) / 1000
    with pytest.raises(CompressionError, match=f"is 0.05, but blocks needs at least {named}"):
        plan_widths(model, importance, 0.05)
    plan_widths(model, importance, named)


def test_a_network_with_nothing_to_prune_is_refused() -> None:
    model = between("Flatten", {})
    with pytest.raises(CompressionError, match="no convolution whose channels can be pruned"):
        prune(model, pixels(), contract=CONTRACT, config=PruneConfig(keep_macs=0.5))


def test_taylor_importance_is_the_squared_slope_of_the_loss() -> None:
    model, groups = blocks(), channel_groups(blocks())
    one = Pixels(pixels().images[:1], pixels().labels[:1], ("0.png",))
    found = channel_importance(model, groups, one, contract=CONTRACT)
    images, step = (one.images.astype(np.float32) - 128) / 127.5, 0.002

    def loss(group: ChannelGroup, channel: int, gate: float) -> float:
        (consumer,) = (model.get_layer(name) for name in group.consumers)
        whole = consumer.get_weights()
        kernel = whole[0].copy()
        np.moveaxis(kernel, -2, 0)[channel] *= gate
        consumer.set_weights([kernel, *whole[1:]])
        scores = model(images, training=False).numpy()
        consumer.set_weights(whole)
        return -float(np.log(scores[0, one.labels[0]]))

    for group in groups:
        channel = int(found[group.producer].argmax())
        slope = (loss(group, channel, 1 + step) - loss(group, channel, 1 - step)) / (2 * step)
        assert found[group.producer].shape == (group.width,)
        assert found[group.producer][channel] == pytest.approx(slope**2, rel=0.04)


def test_batch_norm_importance_is_its_scale_over_the_groups_mean() -> None:
    model = blocks()
    groups = [group for group in channel_groups(model) if group.batch_norms]
    found = channel_importance(model, groups, pixels(), contract=CONTRACT, kind="batch_norm")
    gamma = model.get_layer("first_expand_bn").get_weights()[0]
    np.testing.assert_allclose(found["first_expand"], gamma / gamma.mean(), rtol=1e-6)
    with pytest.raises(CompressionError, match=r"Layer top is not followed by .*taylor"):
        channel_importance(model, channel_groups(model), pixels(), contract=CONTRACT, kind="batch_norm")


def test_channels_that_nobody_reads_go_first_and_nothing_is_lost() -> None:
    full = everything(blocks())
    used = {name: channels[-8:] for name, channels in full.items()}
    with masked(blocks(), used) as model:
        smaller = prune(model, pixels(), contract=CONTRACT, config=PruneConfig(keep_macs=least_share(model)))
        np.testing.assert_allclose(logits(smaller), logits(model), rtol=1e-5, atol=1e-5)
    assert {layer_widths(smaller)[name] for name in full} == {8}


def test_a_pruned_network_converts_to_float_and_to_integers(tiny_models: TinyModels) -> None:
    model, train, contract = tiny_models.keras, tiny_models.pixels, tiny_models.contract
    smaller = prune(model, train, contract=contract, config=PruneConfig(keep_macs=0.9))
    assert layer_widths(smaller) == {"conv1": 8, "conv3": 8}
    images = train.images[:32].copy()
    images[0, 0, 0], images[0, 0, 1] = 0, 255  # the input's range is that of pixels
    int8 = convert_int8(prepare_for_int8(smaller, images, contract=contract), images, contract=contract)
    assert len(int8) < len(convert_fp32(smaller)) < len(tiny_models.fp32_content)
