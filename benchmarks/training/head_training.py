"""An epoch of head training on features that were computed once, against running the frozen backbone every epoch."""

from __future__ import annotations

import os
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure
from benchmarks.harness.pairs import ratio, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    import tf_keras

    from trainer.training.networks.backbones import Backbone
    from trainer.types import Pixels

_BACKBONE = "mobilenet_v2_0.35"
_CLASSES, _BATCH_SIZE = 6, 64


def measure(quick: bool) -> list[Figure]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from edge_runtime import InputContract
    from trainer.config import HeadConfig
    from trainer.training.head import feature_extractor, train_head
    from trainer.training.networks.backbones import get_backbone
    from trainer.types import TrainingSet

    backbone = get_backbone(_BACKBONE)
    contract = InputContract(backbone.input_size, backbone.input_size, mean=backbone.mean, std=backbone.std)
    count = 192 if quick else 512
    train, val = _random_pixels(count, backbone, seed=0), _random_pixels(count // 8, backbone, seed=1)
    model = _model(backbone)
    start = perf_counter()
    feature_extractor(model, contract=contract, progress=False)(train.images)
    features_s = perf_counter() - start

    epochs = 12
    config = HeadConfig(epochs=epochs, batch_size=_BATCH_SIZE, patience=epochs)

    def on_features() -> float:
        curve = train_head(model, TrainingSet(train, val, contract), config, seed=0, progress=False)
        return median(epoch.seconds for epoch in curve[1:])  # the first one compiles

    usual = _usual_recipe(backbone, train, val)
    samples = take_turns("head_training", {"features": on_features, "usual": usual}, rounds=1 if quick else 5, warmup=1)
    compared = ratio(samples["usual"], samples["features"])
    ours_s, usual_s = median(samples["features"]), median(samples["usual"])
    whole = 60 * usual_s / (features_s + 60 * ours_s)
    return [
        Figure(
            name="head_training.epoch",
            what="Speed of an epoch of head training on cached features, against the backbone in every epoch",
            value=compared.value,
            low=compared.low,
            high=compared.high,
            unit="×",
            at_least=10.0,
            conditions=f"{ours_s * 1e3:.0f} ms against {usual_s:.2f} s, MobileNetV2 0.35, 224 px, {count} pictures, "
            f"batches of {_BATCH_SIZE}; with the features ({features_s:.1f} s, once), 60 epochs are {whole:.0f}×",
        )
    ]


def _model(backbone: Backbone) -> tf_keras.Model:
    from trainer.training.networks.backbones import build_model

    return build_model(backbone, num_classes=_CLASSES)


def _usual_recipe(backbone: Backbone, train: Pixels, val: Pixels) -> Callable[[], float]:
    """As Keras' own guide to transfer learning does it: a frozen backbone under a head, and `fit` on the pictures."""
    import tensorflow as tf
    import tf_keras

    from trainer.training.augmentation.augment import normalize
    from trainer.training.loop.fit import batches, endless_batches
    from trainer.training.networks.backbones import HEAD_LAYER

    model = _model(backbone)
    for layer in model.layers:
        layer.trainable = layer.name == HEAD_LAYER
    model.compile(tf_keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    def prepared(read: tf.data.Dataset) -> tf.data.Dataset:
        return read.map(lambda x, y: (normalize(x, backbone.mean, backbone.std), y)).prefetch(2)

    steps = -(-len(train) // _BATCH_SIZE)
    training = prepared(endless_batches(train, _BATCH_SIZE, seed=0).take(steps))
    validation = prepared(batches(val, _BATCH_SIZE))

    def epoch() -> float:
        start = perf_counter()
        model.fit(training, validation_data=validation, epochs=1, verbose=0)
        return perf_counter() - start

    return epoch


def _random_pixels(count: int, backbone: Backbone, *, seed: int) -> Pixels:
    """What the pictures show doesn't change how long they take."""
    import numpy as np

    from trainer.types import Pixels

    rng = np.random.default_rng(seed)
    size = backbone.input_size
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return Pixels(images, rng.integers(0, _CLASSES, count), ("",) * count)
