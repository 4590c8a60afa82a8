from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.trainer.compression.test_sparsity import CONTRACT, INNER, SIZE, STILL, colored, every_kind, kernel_of
from trainer.compression.clustering import cluster, distinct_values
from trainer.config import ClusterConfig, DistillConfig, FinetuneConfig
from trainer.errors import CompressionError
from trainer.training.distillation import Teacher
from trainer.training.finetune import FitSettings
from trainer.types import TrainingSet

if TYPE_CHECKING:
    from trainer.types import Pixels

CLUSTERED = INNER | {"head"}
# Fast, so that weights change their cluster.
SHORT = FinetuneConfig(epochs=2, learning_rate=1e-2, warmup_epochs=0, train_size=1.0, batch_size=16)


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
def in_eight(model: Any, train: Pixels, val: Pixels) -> Any:
    """The network with eight values in a kernel, and its learning curve."""
    return clustered(model, train, val, ClusterConfig(8))


def clustered(model: Any, train: Pixels, val: Pixels, config: ClusterConfig, **options: Any) -> Any:
    settings = FitSettings(SHORT, STILL, **{"seed": 0, "progress": False, **options})
    return cluster(model, TrainingSet(train, val, CONTRACT), settings, config)


def with_zeros(share: float) -> Any:
    """A network whose inner kernels are sparse."""
    model, random = every_kind(), np.random.default_rng(0)
    for name in INNER:
        kernel, *bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * (random.random(kernel.shape) >= share), *bias])
    return model


def test_kernels_hold_so_many_values(model: Any, in_eight: Any) -> None:
    network, curve = in_eight
    values = distinct_values(network)
    assert all(2 < values[name] <= 8 for name in CLUSTERED)
    assert [(epoch.stage, epoch.epoch) for epoch in curve] == [("cluster", 0), ("cluster", 1)]
    assert network.input_shape == (None, SIZE, SIZE, 3)
    assert [layer.name for layer in network.layers] == [layer.name for layer in model.layers]
    assert [type(layer) for layer in network.layers] == [type(layer) for layer in model.layers]
    assert all(np.array_equal(a, b) for a, b in zip(every_kind().get_weights(), model.get_weights(), strict=True))


def test_other_layers_learn_freely(model: Any, in_eight: Any) -> None:
    values = distinct_values(in_eight[0])
    for name in ("first", "depthwise"):
        kernel = kernel_of(in_eight[0], name)
        assert values[name] > 0.9 * kernel.size
        assert not np.array_equal(kernel, kernel_of(model, name))


def test_the_network_is_what_the_curve_says(val: Pixels, in_eight: Any) -> None:
    network, curve = in_eight
    scores = network((val.images - CONTRACT.mean[0]) / CONTRACT.std[0], training=False).numpy()
    best = min(curve, key=lambda epoch: epoch.val_loss)
    smoothed = np.eye(3)[val.labels] * (1 - SHORT.label_smoothing) + SHORT.label_smoothing / 3
    assert -np.sum(smoothed * np.log(scores), axis=1).mean() == pytest.approx(best.val_loss, rel=1e-3)


@pytest.mark.parametrize("clusters", [2, 16])
def test_zeros_stay(train: Pixels, val: Pixels, clusters: int) -> None:
    """Zero is one of the values; with two clusters there is one more, on its other side."""
    before = with_zeros(0.75)
    network, _ = clustered(before, train, val, ClusterConfig(clusters))
    values = distinct_values(network)
    for name in INNER:
        zeros = kernel_of(before, name) == 0
        assert not kernel_of(network, name)[zeros].any()
        assert kernel_of(network, name).any()
        assert values[name] <= max(clusters, 3)
    assert values["head"] <= clusters


def test_kernels_of_few_values_are_frozen(train: Pixels, val: Pixels) -> None:
    model = every_kind()  # its last kernel has 72 weights
    kernel, bias = model.get_layer("pointwise").get_weights()
    model.get_layer("pointwise").set_weights([np.sign(kernel), bias])
    network, _ = clustered(model, train, val, ClusterConfig(100))
    for name in ("pointwise", "head"):
        np.testing.assert_array_equal(kernel_of(network, name), kernel_of(model, name))
    assert 50 < distinct_values(network)["wide"] <= 100


@pytest.mark.parametrize("feature_weight", [0.0, 1.0])
def test_it_learns_from_a_teacher(model: Any, train: Pixels, val: Pixels, feature_weight: float) -> None:
    teacher = Teacher(model, DistillConfig(feature_weight=feature_weight), contract=CONTRACT)
    network, _ = clustered(model, train, val, ClusterConfig(8), teacher=teacher)
    assert distinct_values(network)["wide"] <= 8


def test_the_same_seed_gives_the_same_weights(model: Any, train: Pixels, val: Pixels, in_eight: Any) -> None:
    first, second = in_eight[0], clustered(model, train, val, ClusterConfig(8))[0]
    assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


def test_a_network_without_kernels_to_cluster_is_refused(train: Pixels, val: Pixels) -> None:
    import tf_keras
    from tf_keras import layers

    pooled = [layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Softmax()]
    model = tf_keras.Sequential([layers.Input((SIZE, SIZE, 3)), *pooled])
    with pytest.raises(CompressionError, match="has no layer to cluster"):
        clustered(model, train, val, ClusterConfig(8))


def test_a_kernel_with_more_values_is_an_error(
    model: Any, train: Pixels, val: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.compression import clustering

    monkeypatch.setattr(clustering, "_wrapped", lambda trained, limits: (trained, {}))  # clusters nothing
    with pytest.raises(CompressionError, match="128 distinct weights in layer 'pointwise' instead of at most 8"):
        clustered(model, train, val, ClusterConfig(8))
