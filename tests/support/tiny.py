"""A small real network: made, quantized and exported by the trainer's own functions, in seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.model.manifest import Calibration, MeasuredAccuracy
from edge_runtime.types import InputContract
from trainer.types import Pixels

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

LABELS = ("blue", "green", "red")
SIZE = 32
CONTRACT = InputContract(SIZE, SIZE)
_RGB_CHANNEL = {"blue": 2, "green": 1, "red": 0}


@dataclass(frozen=True)
class TinyModels:
    """The same network in two files, and what they were made from.

    Attributes:
        fp32: Float.
        int8: Full INT8, int8 in and out.
        keras: The network, a tf_keras model.
        pixels: What it was trained and calibrated on.
        contract: Its input contract.
        fp32_content: What the converter made of it, before it was exported.
    """

    fp32: Path
    int8: Path
    keras: Any
    pixels: Pixels
    contract: InputContract
    fp32_content: bytes


def picture(label: str, *, seed: int = 0, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A patchwork in which one colour is a little stronger than another: uint8 (height, width, 3) RGB."""
    rng = np.random.default_rng([seed, LABELS.index(label)])
    cells = rng.integers(40, 170, (height // 8 + 1, width // 8 + 1, 3))
    blocks: NDArray[np.int64] = np.kron(cells, np.ones((8, 8, 1), np.int64))[:height, :width]
    image = blocks + rng.integers(-12, 13, (height, width, 3))
    top, left = rng.integers(0, height // 4 + 1), rng.integers(width // 8, width // 4 + 1)
    patch = image[top : top + 3 * height // 4, left : left + width // 2]
    patch[:, :, _RGB_CHANNEL[label]] += 70
    patch[:, :, (_RGB_CHANNEL[label] + int(rng.integers(1, 3))) % 3] += 35
    return np.clip(image, 0, 255).astype(np.uint8)


def write_photos(folder: Path, count: int) -> Path:
    """Class folders of so many pictures each."""
    import cv2

    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for seed in range(count):
            cv2.imwrite(str(folder / label / f"{seed:03}.png"), picture(label, seed=seed)[:, :, ::-1])
    return folder


def training_pixels(count: int = 360) -> Pixels:
    from edge_runtime.pixels.preprocess import resize_frame

    labels = np.arange(count) % len(LABELS)
    images = [resize_frame(picture(LABELS[k], seed=1000 + i), CONTRACT, color="rgb") for i, k in enumerate(labels)]
    return Pixels(np.stack(images), labels.astype(np.int64), tuple(f"{i}.png" for i in range(count)))


def build_network() -> tf_keras.Model:
    """Flat, of plain layers, softmax last: as the trainer's own networks are."""
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(0)
    image = layers.Input((SIZE, SIZE, 3), name="image")
    x = layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="conv1")(image)
    x = layers.BatchNormalization(momentum=0.8, name="conv1_bn")(x)
    x = layers.ReLU(6.0, name="conv1_relu6")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="conv2")(x)
    x = layers.BatchNormalization(momentum=0.8, name="conv2_bn")(x)
    x = layers.ReLU(6.0, name="conv2_relu6")(x)
    x = layers.Conv2D(16, 1, use_bias=False, name="conv3")(x)
    x = layers.BatchNormalization(momentum=0.8, name="conv3_bn")(x)
    x = layers.ReLU(6.0, name="conv3_relu6")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(len(LABELS), name="head")(x)
    return tf_keras.Model(image, layers.Softmax(name="scores")(x), name="tiny")


def train_network(pixels: Pixels) -> tf_keras.Model:
    import tf_keras

    model = build_network()
    model.compile(tf_keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    images = (pixels.images.astype(np.float32) - CONTRACT.mean[0]) / CONTRACT.std[0]
    model.fit(images, pixels.labels, batch_size=30, epochs=6, verbose=0)
    return model


def make_models(folder: Path) -> TinyModels:
    """Trains the network and exports it in both kinds, with golden samples and measured accuracy."""
    from trainer.quantization.calibration import representative_set
    from trainer.quantization.convert import convert_fp32, convert_int8

    pixels = training_pixels()
    network = train_network(pixels)
    images, calibration = representative_set(pixels, samples=60, seed=0, num_classes=len(LABELS))
    fp32, int8 = folder / "tiny_fp32.tflite", folder / "tiny_int8.tflite"
    content = convert_fp32(network)
    export(fp32, content)
    export(int8, convert_int8(network, images, contract=CONTRACT), calibration=calibration)
    accuracy = MeasuredAccuracy("val", 120, fp32=right_share(fp32), int8=right_share(int8), agreement=0.99)
    for path in (fp32, int8):
        stamp(path, accuracy)
    return TinyModels(fp32, int8, network, pixels, CONTRACT, content)


def export(path: Path, content: bytes, calibration: Calibration | None = None) -> None:
    from trainer.export.model_file import Exporter

    Exporter(LABELS, CONTRACT, provenance={"backbone": "tiny"}).write(path, content, calibration, check=False)


def stamp(path: Path, accuracy: MeasuredAccuracy) -> None:
    """Adds what is known once the file is there, as a run of the trainer does."""
    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.golden import make_sample
    from trainer.export.model_file import restamp

    with Classifier(path) as classifier:
        golden = (make_sample(classifier, picture("red", seed=1)), make_sample(classifier, 1))
        manifest = classifier.model.manifest
    assert manifest is not None
    restamp(path, replace(manifest, accuracy=(accuracy,), golden=golden))


def right_share(path: Path, count: int = 120) -> float:
    """Accuracy on pictures that training never saw."""
    from edge_runtime.inference.classifier import Classifier

    with Classifier(path) as classifier:
        answers = [
            classifier.classify(picture(label, seed=seed), color="rgb", top_k=1).categories[0].label == label
            for seed in range(count // len(LABELS))
            for label in LABELS
        ]
    return sum(answers) / len(answers)
