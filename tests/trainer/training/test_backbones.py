from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainer.errors import RecipeError, WeightsError
from trainer.training.networks.backbones import BACKBONES, FEATURES_LAYER, HEAD_LAYER, build_model, get_backbone

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# Sizes of the features, from the papers and from Keras' documentation.
FEATURES = {
    "basic_cnn": 128,
    "mobilenet_v1_0.25": 256,
    "mobilenet_v1_0.5": 512,
    "mobilenet_v1_0.75": 768,
    "mobilenet_v1_1.0": 1024,
    "mobilenet_v2_0.35": 1280,
    "mobilenet_v2_0.5": 1280,
    "mobilenet_v2_0.75": 1280,
    "mobilenet_v2_1.0": 1280,
    "mobilenet_v3_small": 576,
    "mobilenet_v3_small_minimalistic": 576,
    "efficientnet_lite0": 1280,
}


def test_the_table_holds_the_backbones_that_the_readme_names() -> None:
    assert set(BACKBONES) == set(FEATURES)


@pytest.mark.parametrize("name", FEATURES)
def test_a_model_is_flat_and_ends_in_scores(name: str) -> None:
    import tf_keras

    model = build_model(get_backbone(name), num_classes=5, input_size=64)
    assert model.input_shape == (None, 64, 64, 3)
    assert model.get_layer(FEATURES_LAYER).output_shape == (None, FEATURES[name])
    kinds = {type(layer).__name__ for layer in model.layers}
    assert not kinds & {"Functional", "Sequential", "Rescaling", "Lambda", "Normalization"}
    if name != "mobilenet_v3_small":  # hard-swish, in Keras, is made of operators
        assert "TFOpLambda" not in kinds
    momenta = {layer.momentum for layer in model.layers if isinstance(layer, tf_keras.layers.BatchNormalization)}
    assert momenta == {0.9}


def test_scores_are_a_softmax() -> None:
    model = build_model(get_backbone("basic_cnn"), num_classes=5, input_size=32)
    scores = model(np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)).numpy()
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, rtol=1e-5)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (
        build_model(get_backbone("basic_cnn"), num_classes=3, seed=s).get_weights() for s in (1, 1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_layers_are_named_the_same_whatever_was_built_before() -> None:
    first, again = (
        [layer.name for layer in build_model(get_backbone("mobilenet_v3_small"), num_classes=3, input_size=32).layers]
        for _ in range(2)
    )
    assert first == again


def test_an_unknown_name_lists_the_choices() -> None:
    with pytest.raises(RecipeError, match=r"'mobilenet_v9'\. Choose one of basic_cnn, .*efficientnet_lite0"):
        get_backbone("mobilenet_v9")


@pytest.mark.parametrize(
    ("name", "layer", "inside"),
    [
        ("mobilenet_v1_0.25", "conv_pw_13", "conv_pw_13/kernel:0"),
        ("mobilenet_v2_0.35", "Conv_1", "Conv_1/kernel:0"),
        ("mobilenet_v3_small", "Conv_1", "Conv_1/kernel:0"),
        ("efficientnet_lite0", "block6d_dwconv", "block6d_dwconv/depthwise_kernel:0"),
    ],
)
def test_official_weights_are_read_into_their_layers(shared_keras: Path, name: str, layer: str, inside: str) -> None:
    import h5py

    backbone = get_backbone(name)
    file = shared_keras / "models" / backbone.weights_name(224)
    model = build_model(backbone, num_classes=4, weights_file=file)
    with h5py.File(file) as stored:
        np.testing.assert_array_equal(model.get_layer(layer).get_weights()[0], stored[layer][inside][()])
    assert model.get_layer(HEAD_LAYER).units == 4


def test_weights_of_another_backbone_are_refused(shared_keras: Path) -> None:
    file = shared_keras / "models" / get_backbone("mobilenet_v1_0.25").weights_name(224)
    with pytest.raises(WeightsError, match="do not fit the backbone"):
        build_model(get_backbone("mobilenet_v2_0.35"), num_classes=4, weights_file=file)


def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsError, match="do not fit the backbone"):
        build_model(get_backbone("basic_cnn"), num_classes=4, weights_file=tmp_path / "weights.h5")
