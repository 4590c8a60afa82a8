from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis.extra.numpy as drawn
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.types import InputContract
from trainer.compression.sparsity import (
    check_layers,
    layer_adaptive,
    layer_sparsity,
    sparsify,
    total_sparsity,
    zero_masks,
)
from trainer.config import AugmentConfig, DistillConfig, FinetuneConfig, SparsifyConfig
from trainer.errors import CompressionError
from trainer.quantization.convert import convert_int8
from trainer.quantization.converted_graph import read_flatbuffer
from trainer.training.distillation import Teacher
from trainer.training.finetune import FitSettings
from trainer.types import Pixels, TrainingSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 16
CONTRACT = InputContract(SIZE, SIZE)
STILL = AugmentConfig(set="none")
SHORT = FinetuneConfig(epochs=3, learning_rate=1e-3, warmup_epochs=0, train_size=1.0, batch_size=16)
INNER = {"pointwise", "wide", "hidden"}


LAYERS = st.dictionaries(
    st.sampled_from("abcd"),
    drawn.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 100, width=32), unique=True),
    min_size=1,
)


def colored(count: int, seed: int) -> Pixels:
    """Noise, in which one of three channels is brighter: that channel is the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    images = random.integers(0, 120, (count, SIZE, SIZE, 3)).astype(np.uint8)
    images[np.arange(count), :, :, labels] += 60
    images[0, 0, 0], images[0, 0, -1] = 0, 255  # the converter wants both ends of the range
    return Pixels(images, labels, tuple(str(number) for number in range(count)))


def every_kind() -> Any:
    """A network with a layer of each kind that a backbone has."""
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(0)
    image = layers.Input((SIZE, SIZE, 3), name="image")
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="first")(image)
    x = layers.BatchNormalization(momentum=0.8, name="first_bn")(x)
    x = layers.ReLU(6.0, name="first_relu6")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Conv2D(16, 1, activation="relu", name="pointwise")(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="wide")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(24, activation="relu", name="hidden")(x)
    x = layers.Dense(3, name="head")(x)
    return tf_keras.Model(image, layers.Softmax(name="scores")(x), name="every_kind")


@pytest.fixture(scope="module")
def train() -> Pixels:
    return colored(64, seed=0)


@pytest.fixture(scope="module")
def val() -> Pixels:
    return colored(16, seed=1)


@pytest.fixture(scope="module")
def model() -> Any:
    return every_kind()


@pytest.fixture(scope="module")
def three_quarters(model: Any, train: Pixels, val: Pixels) -> Any:
    """The network with a quarter of its weights, and its learning curve."""
    return sparse(model, train, val, SparsifyConfig(0.75))


def sparse(
    model: Any, train: Pixels, val: Pixels, config: SparsifyConfig, finetuning: FinetuneConfig = SHORT, **options: Any
) -> Any:
    settings = FitSettings(finetuning, STILL, **{"seed": 0, "progress": False, **options})
    return sparsify(model, TrainingSet(train, val, CONTRACT), settings, config)


def kernel_of(model: Any, name: str) -> NDArray[np.float32]:
    return np.asarray(model.get_layer(name).get_weights()[0])


def inner_sparsity(model: Any) -> float:
    """Sparsity of the layers that are pruned by default, together."""
    return float(np.mean(np.concatenate([kernel_of(model, name).ravel() for name in INNER]) == 0))


def neighbors(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Groups of four input channels of the same output: (…, 4)."""
    return np.moveaxis(kernel, -2, -1).reshape(-1, 4)


def test_a_short_training_reaches_its_sparsity(model: Any, three_quarters: Any) -> None:
    pruned, curve = three_quarters  # after 12 steps
    sparsity = layer_sparsity(pruned)
    assert {name for name, share in sparsity.items() if share > 0.01} == INNER
    assert inner_sparsity(pruned) == pytest.approx(0.75, abs=0.01)
    assert sparsity["pointwise"] < sparsity["wide"]  # 128 weights, and 2,304
    assert [(epoch.stage, epoch.epoch) for epoch in curve] == [("sparsify", number) for number in range(3)]
    assert pruned.input_shape == (None, SIZE, SIZE, 3)
    assert [type(layer) for layer in pruned.layers] == [type(layer) for layer in model.layers]
    assert [layer.name for layer in pruned.layers] == [layer.name for layer in model.layers]
    assert all(np.array_equal(a, b) for a, b in zip(every_kind().get_weights(), model.get_weights(), strict=True))
    assert not np.array_equal(kernel_of(pruned, "head"), kernel_of(model, "head"))  # others learn, too


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_training_of_a_few_steps_reaches_its_sparsity(model: Any, train: Pixels, val: Pixels, count: int) -> None:
    few = Pixels(train.images[:count], train.labels[:count], train.paths[:count])
    config = FinetuneConfig(epochs=1, train_size=1.0, batch_size=1)
    pruned, _ = sparse(model, few, val, SparsifyConfig(0.5, layers=("hidden",)), config)
    assert layer_sparsity(pruned)["hidden"] == pytest.approx(0.5, abs=0.01)


def test_an_epoch_before_full_sparsity_is_never_the_best(model: Any, train: Pixels, val: Pixels) -> None:
    """At such a learning rate, each epoch is worse than the one before."""
    config = FinetuneConfig(epochs=6, learning_rate=0.3, warmup_epochs=0, train_size=1.0, batch_size=8, patience=1)
    pruned, curve = sparse(model, train, val, SparsifyConfig(0.9), config)
    assert len(curve) >= 4  # the end of the growth
    assert layer_sparsity(pruned)["wide"] >= 0.9


def test_patterns_choose_layers(model: Any, train: Pixels, val: Pixels) -> None:
    pruned, _ = sparse(model, train, val, SparsifyConfig(0.5, layers=("h*d*", "first")))
    assert {name for name, share in layer_sparsity(pruned).items() if share > 0.01} == {"first", "hidden", "head"}


def test_two_of_four_neighbors_become_zero(model: Any, train: Pixels, val: Pixels) -> None:
    pruned, _ = sparse(model, train, val, SparsifyConfig(0.5, structure="2by4"))
    for name in INNER:
        assert set((neighbors(kernel_of(pruned, name)) == 0).sum(axis=1)) == {2}


def test_blocks_of_four_neighbors_become_zero(model: Any, train: Pixels, val: Pixels) -> None:
    pruned, _ = sparse(model, train, val, SparsifyConfig(0.75, structure="block"))
    assert {name for name, share in layer_sparsity(pruned).items() if share > 0.01} == {"pointwise", "hidden"}
    zeros = {name: (neighbors(kernel_of(pruned, name)) == 0).sum(axis=1) for name in ("pointwise", "hidden")}
    assert [set(found) for found in zeros.values()] == [{0, 4}] * 2
    assert np.mean(np.concatenate(list(zeros.values())) == 4) == pytest.approx(0.75, abs=0.01)
    assert pruned.get_layer("pointwise").kernel.shape == (1, 1, 8, 16)


def test_a_1x1_convolution_computes_the_same_while_it_is_pruned_in_blocks(
    model: Any, train: Pixels, val: Pixels
) -> None:
    config = FinetuneConfig(epochs=1, learning_rate=1e-9, warmup_epochs=0, train_size=1.0)
    curves = [
        sparse(model, train, val, SparsifyConfig(0.0, structure=structure, layers=("pointwise",)), config)[1][0]
        for structure in ("unstructured", "block")
    ]
    assert curves[0].val_loss == pytest.approx(curves[1].val_loss, rel=1e-5)


@pytest.mark.parametrize("feature_weight", [0.0, 1.0])
def test_it_learns_from_a_teacher(model: Any, train: Pixels, val: Pixels, feature_weight: float) -> None:
    teacher = Teacher(model, DistillConfig(feature_weight=feature_weight), contract=CONTRACT)
    pruned, _ = sparse(model, train, val, SparsifyConfig(0.5), teacher=teacher)
    assert inner_sparsity(pruned) == pytest.approx(0.5, abs=0.01)
    assert [layer.name for layer in pruned.layers] == [layer.name for layer in model.layers]


def test_the_same_seed_gives_the_same_weights(model: Any, train: Pixels, val: Pixels, three_quarters: Any) -> None:
    first, second = three_quarters[0], sparse(model, train, val, SparsifyConfig(0.75))[0]
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def test_int8_keeps_the_zeros(train: Pixels, three_quarters: Any) -> None:
    pruned, _ = three_quarters
    graph = read_flatbuffer(convert_int8(pruned, train.images, contract=CONTRACT))
    for name in INNER:
        kernel = np.moveaxis(kernel_of(pruned, name), -1, 0)  # a file's kernels are (out, height, width, in)
        stored = [
            np.asarray(graph.buffers[tensor.buffer].data).view(np.int8)
            for tensor in graph.subgraphs[0].tensors
            if list(tensor.shape) == list(kernel.shape) and graph.buffers[tensor.buffer].data is not None
        ]
        assert len(stored) == 1
        zeros = (kernel == 0).ravel()
        assert not stored[0][zeros].any()
        assert (stored[0][~zeros] != 0).mean() > 0.9


def test_masks_are_of_the_layers_with_zeros() -> None:
    model = every_kind()
    kernel, bias = model.get_layer("hidden").get_weights()
    kernel[:, ::2] = 0
    model.get_layer("hidden").set_weights([kernel, bias])
    masks = zero_masks(model)
    assert list(masks) == ["hidden"]
    np.testing.assert_array_equal(masks["hidden"], kernel == 0)
    assert zero_masks(model, names=["head"]) == {}
    weights = sum(kernel_of(model, name).size for name in layer_sparsity(model))
    assert total_sparsity(model) == pytest.approx(kernel.size / 2 / weights)
    assert set(layer_sparsity(model)) == {"first", "depthwise", "pointwise", "wide", "hidden", "head"}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            SparsifyConfig(0.5, layers=("block_*",)),
            r"\(block_\*\) .*layers are first, pointwise, wide, hidden, head\.",
        ),
        (SparsifyConfig(0.5, layers=("depthwise",)), r"\(depthwise\) matches no"),
        (SparsifyConfig(0.5, "2by4", layers=("*",)), "'first'.*its 3 input channels are not a multiple of 4"),
        (SparsifyConfig(0.5, "block", layers=("wide",)), "'wide'.*nor a 1×1 convolution"),
    ],
)
def test_what_cannot_be_pruned_so_is_refused(model: Any, config: SparsifyConfig, expected: str) -> None:
    with pytest.raises(CompressionError, match=expected):
        check_layers(model, config)


def test_many_layers_are_not_all_named() -> None:
    import tf_keras
    from tf_keras import layers

    names = [f"dense{number}" for number in range(9)]
    deep = tf_keras.Sequential([layers.Input((4,)), *(layers.Dense(4, name=name) for name in names)])
    with pytest.raises(CompressionError, match=r"dense0, .*, dense5 and 3 more\."):
        check_layers(deep, SparsifyConfig(0.5, layers=("conv*",)))


def test_a_network_without_inner_layers_is_refused() -> None:
    import tf_keras
    from tf_keras import layers

    only_ends = [layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)]
    shallow = tf_keras.Sequential([layers.Input((SIZE, SIZE, 3)), *only_ends])
    with pytest.raises(CompressionError, match="has no layer to prune with"):
        check_layers(shallow, SparsifyConfig(0.5))


def test_a_backbone_has_weights_to_prune_in_each_structure() -> None:
    from trainer.training.networks.backbones import build_model, get_backbone

    model = build_model(get_backbone("mobilenet_v2_0.35"), num_classes=3, input_size=32)
    for structure in ("unstructured", "2by4", "block"):
        check_layers(model, SparsifyConfig(0.5, structure))


def test_a_missed_sparsity_is_an_error(model: Any, train: Pixels, val: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainer.compression import sparsity

    monkeypatch.setattr(sparsity, "_update_steps", lambda steps: (100, 100))  # as TFMOT does by itself
    with pytest.raises(CompressionError, match=r"Only 0\.0% of the weights of layer 'pointwise' .* intended \d\d%"):
        sparse(model, train, val, SparsifyConfig(0.75))


@given(LAYERS, st.floats(0, 0.99))
def test_the_layers_lose_that_share_together_and_none_loses_all(
    magnitudes: dict[str, NDArray[np.float32]], sparsity: float
) -> None:
    shares = layer_adaptive(magnitudes, sparsity)
    total = sum(values.size for values in magnitudes.values())
    gone = sum(shares[name] * values.size for name, values in magnitudes.items())

    assert all(share < 1 for share in shares.values())
    assert gone <= round(sparsity * total) + 1e-6
    # Equal scores go together or not at all; each layer's largest weight stays.
    ties = total - len({score for values in magnitudes.values() for score in scores_by_definition(values)})
    assert gone >= min(round(sparsity * total), total - len(magnitudes)) - ties - 1e-6


@given(LAYERS, st.floats(0, 0.99), st.integers(-8, 8))
def test_a_layer_of_larger_weights_all_in_all_loses_as_many(
    magnitudes: dict[str, NDArray[np.float32]], sparsity: float, exponent: int
) -> None:
    """A factor on a layer's weights does not matter, since batch normalization cancels it."""
    scaled = {name: values * np.float32(2.0**exponent if name == "a" else 1) for name, values in magnitudes.items()}

    assert layer_adaptive(scaled, sparsity) == layer_adaptive(magnitudes, sparsity)


def test_a_layer_whose_weights_are_alike_loses_fewer_than_one_of_a_few_large_ones() -> None:
    alike, unequal = np.linspace(0.9, 1.1, 100, dtype=np.float32), np.geomspace(1e-3, 1, 100, dtype=np.float32)

    shares = layer_adaptive({"alike": alike, "unequal": unequal}, 0.5)

    assert shares["alike"] < 0.2 < 0.8 < shares["unequal"]


def scores_by_definition(magnitudes: NDArray[np.float32]) -> list[float]:
    """Equation 5 of the paper."""
    squares = np.sort(magnitudes.astype(np.float64)) ** 2
    return [square / rest if (rest := squares[place:].sum()) else 1.0 for place, square in enumerate(squares)]
