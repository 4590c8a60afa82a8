"""Time of an epoch of head training on cached features, against running the frozen backbone in every epoch."""

from __future__ import annotations

import os
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.harness.pairs import ratio, ratio_figure, take_turns
from benchmarks.subjects.networks import compile_frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    import tensorflow as tf
    import tf_keras

    from benchmarks.harness.figure import Figure
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
        return median(epoch.seconds for epoch in curve[1:])  # the first one includes compilation

    usual = _usual_recipe(backbone, train, val)
    samples = take_turns("head_training", {"features": on_features, "usual": usual}, rounds=1 if quick else 5, warmup=1)
    ours_s, usual_s = median(samples["features"]), median(samples["usual"])
    whole = 60 * usual_s / (features_s + 60 * ours_s)
    return [
        ratio_figure(
            "head_training.epoch",
            "Speed of an epoch of head training on cached features, against the backbone in every epoch",
            ratio(samples["usual"], samples["features"]),
            at_least=10.0,
            conditions=f"{ours_s * 1e3:.0f} ms against {usual_s:.2f} s, MobileNetV2 0.35, 224 px, {count} pictures, "
            f"batches of {_BATCH_SIZE}; with the features ({features_s:.1f} s, once), 60 epochs are {whole:.0f}×",
        )
    ]


def _model(backbone: Backbone) -> tf_keras.Model:
    from trainer.training.networks.backbones import build_model

    return build_model(backbone, num_classes=_CLASSES)


def _usual_recipe(backbone: Backbone, train: Pixels, val: Pixels) -> Callable[[], float]:
    """Return an epoch of Keras' guide to transfer learning: frozen backbone, head, and `fit` on the pictures."""
    from trainer.training.augmentation.augment import normalize
    from trainer.training.loop.fit import batches, endless_batches

    model = _model(backbone)
    compile_frozen(model)

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
    """Return random pictures; their content does not change the time."""
    import numpy as np

    from trainer.types import Pixels

    rng = np.random.default_rng(seed)
    size = backbone.input_size
    images = rng.integers(0, 256, (count, size, size, 3), np.uint8)
    return Pixels(images, rng.integers(0, _CLASSES, count), ("",) * count)
