from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_runtime import Classifier
from tests.support.tiny import CONTRACT, LABELS, SIZE, export, train_network, training_pixels
from trainer.compression.folding import fold_batch_norms
from trainer.compression.layers import kernel_name
from trainer.config import AugmentConfig, DistillConfig, FinetuneConfig
from trainer.errors import CompressionError
from trainer.quantization.convert import convert_int8
from trainer.quantization.preparation.rounding import round_to_grid
from trainer.quantization.qat.fake_quantization import fake_quantized, measure_ranges, round_kernel
from trainer.quantization.qat.train import train_quantized
from trainer.training.augmentation.augment import normalize
from trainer.training.distillation import Teacher
from trainer.training.finetune import FitSettings
from trainer.training.networks.backbones import build_model, get_backbone
from trainer.types import Pixels, TrainingSet

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STILL = AugmentConfig(set="none")
SHORT = FinetuneConfig(epochs=1, learning_rate=1e-3, warmup_epochs=0, train_size=1.0, batch_size=30)


@pytest.fixture(scope="module")
def pixels() -> Pixels:
    return training_pixels()


@pytest.fixture(scope="module")
def train(pixels: Pixels) -> Pixels:
    return Pixels(pixels.images[:240], pixels.labels[:240], pixels.paths[:240])


@pytest.fixture(scope="module")
def val(pixels: Pixels) -> Pixels:
    return Pixels(pixels.images[240:], pixels.labels[240:], pixels.paths[240:])


@pytest.fixture(scope="module")
def taught(train: Pixels) -> Any:
    return train_network(train)


@pytest.fixture(scope="module")
def calibration(train: Pixels) -> NDArray[np.uint8]:
    images = train.images[:48].copy()
    images[0, 0, 0], images[0, 0, -1] = 0, 255
    return images


def qat(
    model: Any,
    train: Pixels,
    val: Pixels,
    calibration: Any,
    config: FinetuneConfig = SHORT,
    *,
    masks: Any = None,
    **settings: Any,
) -> Any:
    fitting = FitSettings(config, STILL, **{"seed": 0, "progress": False, **settings})
    data = TrainingSet(train, val, CONTRACT)
    return train_quantized(model, data, fitting, calibration_images=calibration, masks=masks)


def int8_scores(content: bytes, images: NDArray[np.uint8], folder: Path) -> tuple[NDArray[np.float32], int]:
    """Scores from the runtime, and the number of operations that XNNPACK runs."""
    export(folder / "model.tflite", content)
    with Classifier(folder / "model.tflite", num_threads=1) as classifier:
        scores = np.stack([classifier.scores(image, color="rgb") for image in images])
        return scores, classifier.backend.delegated_ops or 0


def right(scores: NDArray[np.float32], pixels: Pixels) -> float:
    return float((scores.argmax(axis=1) == pixels.labels).mean())


def graph(content: bytes) -> tuple[Any, Counter[str]]:
    """The file's model, and its operations."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    operators = model.subgraphs[0].operators
    return model, Counter(flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex) for operator in operators)


def assert_biases_have_the_products_scale(content: bytes) -> None:
    """The kernels rely on it, whatever the file says."""
    tensors, found = graph(content)[0].subgraphs[0].tensors, 0
    for operator in graph(content)[0].subgraphs[0].operators:
        scales = [np.array(tensors[index].quantization.scale) for index in operator.inputs if index >= 0]
        if len(scales) == 3:  # a bias of zeros is left out
            np.testing.assert_allclose(scales[2], scales[0] * scales[1], rtol=1e-4)
            found += len(scales[1]) > 1
    assert found  # per channel


def test_the_int8_model_answers_as_the_network_does(
    taught: Any, train: Pixels, val: Pixels, calibration: Any, tmp_path: Path
) -> None:
    network, curve = qat(taught, train, val, calibration)
    assert [(epoch.stage, epoch.epoch) for epoch in curve] == [("qat", 0)]
    assert network.input_shape == (None, SIZE, SIZE, 3)
    content, plain = (convert_int8(model, calibration, contract=CONTRACT) for model in (network, taught))
    scores, delegated = int8_scores(content, val.images, tmp_path)
    simulated = network(normalize(val.images, CONTRACT.mean, CONTRACT.std), training=False).numpy()
    assert (scores.argmax(axis=1) == simulated.argmax(axis=1)).mean() > 0.98
    assert np.abs(scores - simulated).mean() < 0.01
    assert graph(content)[1] == graph(plain)[1]  # no QUANTIZE in between
    assert delegated == int8_scores(plain, val.images[:1], tmp_path)[1]
    assert_biases_have_the_products_scale(content)


def hostile(taught: Any) -> Any:
    """The same function, but a weight of a dead channel takes most of each filter's INT8 range."""
    import tf_keras

    model = tf_keras.models.clone_model(taught)
    model.set_weights(taught.get_weights())
    gamma, beta, *statistics = model.get_layer("conv2_bn").get_weights()
    gamma[0], beta[0] = 0.0, -1.0
    model.get_layer("conv2_bn").set_weights([gamma, beta, *statistics])
    kernel = model.get_layer("conv3").get_weights()[0]
    kernel[0, 0, 0] = 200 * np.abs(kernel).max()
    model.get_layer("conv3").set_weights([kernel])
    return model


@pytest.mark.slow
def test_it_recovers_what_quantization_after_training_loses(
    taught: Any, train: Pixels, val: Pixels, calibration: Any, tmp_path: Path
) -> None:
    model = hostile(taught)
    exact = right(model(normalize(val.images, CONTRACT.mean, CONTRACT.std)).numpy(), val)
    plain = convert_int8(model, calibration, contract=CONTRACT)
    lost = right(int8_scores(plain, val.images, tmp_path)[0], val)
    config = FinetuneConfig(epochs=8, learning_rate=1e-2, train_size=1.0, batch_size=30)
    network, _ = qat(model, train, val, calibration, config)
    content = convert_int8(network, calibration, contract=CONTRACT)
    recovered = right(int8_scores(content, val.images, tmp_path)[0], val)
    assert lost < exact - 0.1
    assert recovered > lost + 0.1


def test_masked_weights_stay_zero_at_any_training_size(
    taught: Any, train: Pixels, val: Pixels, calibration: Any
) -> None:
    rng = np.random.default_rng(0)
    layers = ("conv2", "conv3", "head")
    masks = {name: rng.random(taught.get_layer(name).get_weights()[0].shape) < 0.5 for name in layers}
    config = FinetuneConfig(epochs=1, learning_rate=1e-3, train_size=0.5)
    network, _ = qat(taught, train, val, calibration, config, masks=masks)
    assert network.input_shape == (None, SIZE, SIZE, 3)
    for name, mask in masks.items():
        kernel = network.get_layer(name).get_weights()[0]
        assert not kernel[mask].any()
        assert (kernel[~mask] != 0).mean() > 0.9


@pytest.mark.parametrize("feature_weight", [0.0, 1.0])
def test_it_learns_from_a_teacher(
    taught: Any, train: Pixels, val: Pixels, calibration: Any, feature_weight: float
) -> None:
    teacher = Teacher(taught, DistillConfig(feature_weight=feature_weight), contract=CONTRACT)
    network, curve = qat(taught, train, val, calibration, teacher=teacher)
    assert len(curve) == 1
    assert {layer.name for layer in network.layers} < {layer.name for layer in taught.layers}


def hard_swish_network() -> Any:
    """A small version of MobileNetV3's block, with a ReLU that is zero on all pictures."""
    import tf_keras
    from tf_keras import layers

    def hard_sigmoid(x: Any) -> Any:
        return layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)

    tf_keras.utils.set_random_seed(0)
    image = layers.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, 2, bias_initializer="random_normal")(image)
    x = layers.Multiply()([x, hard_sigmoid(x)])
    squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
    squeezed = layers.ReLU()(layers.Conv2D(4, 1, bias_initializer=tf_keras.initializers.Constant(-99))(squeezed))
    excited = layers.Conv2D(8, 1, bias_initializer="random_normal")(squeezed)
    x = layers.Multiply()([x, hard_sigmoid(excited)])
    x = layers.Dense(len(LABELS), name="head")(layers.GlobalAveragePooling2D(name="features")(x))
    return tf_keras.Model(image, layers.Softmax()(x))


def test_hard_swish_and_squeeze_and_excite_are_left_to_the_converter(
    val: Pixels, calibration: Any, tmp_path: Path
) -> None:
    model = hard_swish_network()
    network = rounded_only(model, calibration)
    content = convert_int8(network, calibration, contract=CONTRACT)
    assert_biases_have_the_products_scale(content)
    assert graph(content)[1]["HARD_SWISH"] == 1
    scores, _ = int8_scores(content, val.images, tmp_path)  # XNNPACK takes it
    simulated = network(normalize(val.images, CONTRACT.mean, CONTRACT.std), training=False).numpy()
    assert np.abs(scores - simulated).mean() < 0.01


def rounded_only(model: Any, calibration: Any, contract: Any = CONTRACT) -> Any:
    """Without training: kernels on the grid, outputs rounded in the ranges that were measured."""
    folded = fold_batch_norms(model)
    for layer in folded.layers:
        if kernel_name(layer):
            kernel, *bias = layer.get_weights()
            layer.set_weights([round_to_grid(kernel, depthwise=kernel_name(layer) == "depthwise_kernel"), *bias])
    return fake_quantized(folded, measure_ranges(folded, calibration, contract=contract), kernels=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "basic_cnn",
        "mobilenet_v1_0.25",
        "mobilenet_v2_0.35",
        "mobilenet_v3_small",
        "mobilenet_v3_small_minimalistic",
        "efficientnet_lite0",
    ],
)
def test_each_family_of_backbones_trains_and_converts(
    name: str, train: Pixels, val: Pixels, calibration: Any, tmp_path: Path
) -> None:
    model = build_model(get_backbone(name), num_classes=len(LABELS), input_size=SIZE)
    some = Pixels(train.images[:30], train.labels[:30], train.paths[:30])
    network, _ = qat(model, some, some, calibration)
    content = convert_int8(network, calibration, contract=CONTRACT)
    assert_biases_have_the_products_scale(content)
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(graph(content)[1])
    int8_scores(content, val.images[:1], tmp_path)


@given(
    arrays(np.float32, (3, 3, 4, 2), elements=st.floats(-10, 10, width=16)),
    st.sampled_from(["convolution", "depthwise", "dense"]),
)
def test_training_rounds_to_the_grid_of_the_converter(kernel: NDArray[np.float32], kind: str) -> None:
    kernel, depthwise = kernel.reshape(-1, 2) if kind == "dense" else kernel, kind == "depthwise"
    axes = (0, 1, 2) if kind == "convolution" else (0, 1)
    step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    difference = np.abs(round_kernel(kernel, depthwise=depthwise).numpy() - round_to_grid(kernel, depthwise=depthwise))
    # A weight in the middle between two steps may go either way.
    assert (difference <= step * 1.001 + 1e-7).all()
    assert (difference <= step * 0.001 + 1e-7).mean() > 0.8


def test_the_gradient_passes_the_rounding() -> None:
    import tensorflow as tf

    kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 4, 1)).astype(np.float32))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(round_kernel(kernel, depthwise=True))
    np.testing.assert_allclose(tape.gradient(total, kernel), np.ones((3, 3, 4, 1)), atol=1e-3)


def test_what_cannot_be_trained_so_is_named(train: Pixels, val: Pixels, calibration: Any) -> None:
    import tf_keras
    from tf_keras import layers

    class Own(tf_keras.Model):  # type: ignore[misc]
        """Its layers are not accessible."""

    inner = tf_keras.Sequential([layers.Input((SIZE, SIZE, 3)), layers.Conv2D(3, 1)], name="inner")
    nested = tf_keras.Sequential([layers.Input((SIZE, SIZE, 3)), inner, layers.Flatten(), layers.Dense(3)])
    separable = tf_keras.Sequential([layers.Input((SIZE, SIZE, 3)), layers.SeparableConv2D(3, 3, name="odd")])
    for model, named in ((Own(), "Own"), (nested, "Sequential 'inner'"), (separable, "SeparableConv2D 'odd'")):
        with pytest.raises(CompressionError, match=named):
            qat(model, train, val, calibration)


def test_a_sigmoid_is_not_fused_as_a_relu_is() -> None:
    network = build_model(get_backbone("basic_cnn"), num_classes=3, multi_label=True, input_size=SIZE)
    ranges = measure_ranges(network, np.zeros((2, SIZE, SIZE, 3), np.uint8), contract=CONTRACT)
    assert "head" in ranges
    assert "scores" not in ranges
