"""Transfer learning's first step: the frozen backbone's features are computed once, and the head is trained on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.config import HeadConfig
from trainer.training.augment import normalize
from trainer.training.backbones import FEATURES_LAYER, HEAD_LAYER
from trainer.training.fit import fit
from trainer.types import Epoch, Pixels

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract


def compute_features(
    model: tf_keras.Model,
    images: NDArray[np.uint8],
    *,
    contract: InputContract,
    batch_size: int = 64,
    progress: bool = True,
) -> NDArray[np.float32]:
    """Runs the backbone once over the pictures.

    Args:
        model: From `trainer.training.backbones.build_model`.
        images: uint8 (N, height, width, 3) RGB, 0–255.
        contract: Its mean and std.
        batch_size: Pictures at a time.
        progress: Whether a bar is drawn on stderr.

    Returns:
        float32 (N, features): the output of global pooling, before dropout.
    """
    import tensorflow as tf
    import tf_keras
    from tqdm import tqdm

    body = tf_keras.Model(model.input, model.get_layer(FEATURES_LAYER).output)
    # Any number of pictures in one trace: the last batch is smaller.
    signature = [tf.TensorSpec((None, *images.shape[1:]), tf.uint8)]
    run = tf.function(
        lambda batch: body(normalize(batch, contract.mean, contract.std), training=False), input_signature=signature
    )
    features = np.empty((len(images), body.output_shape[-1]), np.float32)
    starts = range(0, len(images), batch_size)
    for start in tqdm(starts, desc="features", unit="batch", disable=not progress):
        features[start : start + batch_size] = run(images[start : start + batch_size]).numpy()
    return features


def train_head(
    model: tf_keras.Model,
    train: Pixels,
    val: Pixels,
    config: HeadConfig,
    *,
    contract: InputContract,
    seed: int,
    features: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    progress: bool = True,
) -> list[Epoch]:
    """Trains the dense head on the frozen backbone's features and puts the best one into the model.

    Args:
        model: From `trainer.training.backbones.build_model`; its head is replaced, the rest stays as it is.
        train: Pictures to train on.
        val: Pictures that choose the best epoch and end the training.
        config: How long and how fast.
        contract: Its mean and std.
        seed: The same seed gives the same weights.
        features: Of both splits, as `compute_features` gave them before; None: they are computed.
        progress: Whether bars are drawn on stderr.

    Returns:
        The learning curve; empty when ``config.epochs`` is 0.
    """
    if config.epochs == 0:
        return []
    train_features, val_features = features or (
        compute_features(model, pixels.images, contract=contract, progress=progress) for pixels in (train, val)
    )
    head = _head_alone(model, seed)
    head.compile(_adam(config.learning_rate), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    curve = fit(
        head,
        train_features,
        (val_features, val.labels),
        stage="head",
        epochs=config.epochs,
        steps=-(-len(train) // config.batch_size),
        patience=config.patience,
        progress=progress,
        y=train.labels,
        batch_size=config.batch_size,
    )
    model.get_layer(HEAD_LAYER).set_weights(head.get_layer(HEAD_LAYER).get_weights())
    return curve


def _head_alone(model: tf_keras.Model, seed: int) -> tf_keras.Model:
    """The layers after global pooling as a model of their own, from features to scores."""
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(seed)
    dense = model.get_layer(HEAD_LAYER)
    return tf_keras.Sequential(
        [
            layers.Input(model.get_layer(FEATURES_LAYER).output_shape[1:]),
            layers.Dropout(model.get_layer("dropout").rate),
            layers.Dense(dense.units, name=HEAD_LAYER),
            layers.Softmax(),
        ]
    )


def _adam(learning_rate: float) -> tf_keras.optimizers.Optimizer:
    import tf_keras

    return tf_keras.optimizers.Adam(learning_rate)
