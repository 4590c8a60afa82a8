"""Head training, the first step of transfer learning: on features that the frozen backbone computes once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.config import HeadConfig, LossConfig
from trainer.config.photo_count import head_for_photos
from trainer.training.augmentation.augment import normalize
from trainer.training.loop.fit import fit
from trainer.training.loop.losses import accuracy_of, as_targets, fitted_to, make_loss
from trainer.training.networks.backbones import FEATURES_LAYER, HEAD_LAYER, is_multi_label, scores_layer
from trainer.types import Epoch, Features, TrainingSet

if TYPE_CHECKING:
    from collections.abc import Callable

    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

# A tenth or ten times of this changes the accuracy on clothing and trashnet by one point.
_INVERSE_PENALTY = 0.01


def feature_extractor(
    model: tf_keras.Model, *, contract: InputContract, batch_size: int = 64, progress: bool = True
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function that runs the backbone on pictures; share it, since tracing takes more than a second.

    Args:
        model: Model from `networks.backbones.build_model`.
        contract: Input contract of the model.
        batch_size: Number of pictures processed at a time.
        progress: If True, a progress bar is drawn on stderr.

    Returns:
        A function from uint8 (N, height, width, 3) RGB, 0–255, to float32 (N, features), the output of global pooling,
        before dropout.
    """
    import tensorflow as tf
    import tf_keras
    from tqdm import tqdm

    body = tf_keras.Model(model.input, model.get_layer(FEATURES_LAYER).output)
    # One trace for any batch size, since the last batch is smaller.
    signature = [tf.TensorSpec((None, contract.height, contract.width, contract.channels), tf.uint8)]
    run = tf.function(
        lambda batch: body(normalize(batch, contract.mean, contract.std), training=False), input_signature=signature
    )

    def extract(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = np.empty((len(images), body.output_shape[-1]), np.float32)
        starts = range(0, len(images), batch_size)
        for start in tqdm(starts, desc="features", unit="batch", disable=not progress):
            features[start : start + batch_size] = run(images[start : start + batch_size]).numpy()
        return features

    return extract


def train_head(
    model: tf_keras.Model,
    data: TrainingSet,
    config: HeadConfig,
    *,
    seed: int,
    loss: LossConfig | None = None,
    progress: bool = True,
) -> list[Epoch]:
    """Compute the features of pictures with the frozen backbone, then train the head on them as `fit_head` does.

    Args:
        model: Model from `networks.backbones.build_model`; only its head is changed.
        data: Pictures to train and validate on.
        config: Settings as for `fit_head`.
        seed: Seed as for `fit_head`.
        loss: Loss as for `fit_head`.
        progress: If True, progress bars are drawn on stderr.

    Returns:
        The learning curve; empty when ``config.epochs`` is 0 or the solver has no epochs.
    """
    if config.epochs == 0:
        return []
    extract = feature_extractor(model, contract=data.contract, progress=progress)
    train, val = (Features(extract(pixels.images), pixels.labels) for pixels in (data.train, data.val))
    return fit_head(model, train, val, config, seed=seed, loss=loss, progress=progress)


def fit_head(
    model: tf_keras.Model,
    train: Features,
    val: Features,
    config: HeadConfig,
    *,
    seed: int,
    loss: LossConfig | None = None,
    progress: bool = True,
) -> list[Epoch]:
    """Train the dense head on computed features and put its best weights into the model.

    Args:
        model: Model from `networks.backbones.build_model`; only its head is changed.
        train: Features to train on.
        val: Features that choose the best epoch and stop the training early.
        config: Solver, epochs, batch size and learning rate.
        seed: Seed of all random draws; the same seed gives the same weights.
        loss: Loss on the labels; None: the default for the kind of labels.
        progress: If True, a progress bar is drawn on stderr.

    Returns:
        The learning curve; empty when the head is solved as a logistic regression.
    """
    loss = loss or LossConfig()
    config = head_for_photos(config, loss, len(train), multi_label=train.labels.ndim == 2)
    if config.solver == "lbfgs":
        model.get_layer(HEAD_LAYER).set_weights(_logistic_regression(train))
        return []
    head = _head_alone(model, seed)
    truth = _compile(head, _adam(config.learning_rate), loss, train.labels, val.labels)
    curve = fit(
        head,
        train.values,
        (val.values, truth[1]),
        stage="head",
        epochs=config.epochs,
        steps=-(-len(train) // config.batch_size),
        patience=config.patience,
        progress=progress,
        y=truth[0],
        batch_size=config.batch_size,
    )
    model.get_layer(HEAD_LAYER).set_weights(head.get_layer(HEAD_LAYER).get_weights())
    return curve


def replace_head(model: tf_keras.Model, num_classes: int) -> tf_keras.Model:
    """Return the network with a new, untrained head; the other layers are shared.

    Args:
        model: Model from `networks.backbones.build_model`, compressed or not.
        num_classes: Number of classes, the length of the output.
    """
    import tf_keras
    from tf_keras import layers

    x = model.get_layer(FEATURES_LAYER).output
    x = layers.Dropout(model.get_layer("dropout").rate, name="dropout")(x)
    x = layers.Dense(num_classes, name=HEAD_LAYER)(x)
    return tf_keras.Model(model.input, layers.Softmax(name="scores")(x), name=model.name)


def _logistic_regression(train: Features) -> list[NDArray[np.float32]]:
    """Fit a class-balanced logistic regression; return its kernel (features, classes) and bias (classes,)."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scale = float(np.sqrt(np.mean(np.square(train.values)))) or 1.0  # so that one penalty suits all backbones
    regression = LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=100, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the last iterations change no prediction
        regression.fit(train.values / scale, train.labels)
    kernel, bias = regression.coef_.T / scale, regression.intercept_
    if kernel.shape[1] == 1:  # with two classes there is one output, for the second class
        kernel, bias = np.concatenate([-kernel, kernel], axis=1) / 2, np.concatenate([-bias, bias]) / 2
    return [kernel.astype(np.float32), bias.astype(np.float32)]


def _compile(
    head: tf_keras.Model, optimizer: Any, loss: LossConfig, train: NDArray[Any], val: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Compile the head; return the labels of both splits in the form that its loss reads."""
    kind = fitted_to(loss, multi_label=train.ndim == 2).kind
    if kind == "categorical_crossentropy" and loss.class_weights == "none":  # the sparse loss reads class indices
        head.compile(optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return train, val
    classes = head.output_shape[-1]
    head.compile(optimizer, loss=make_loss(loss, train, classes), metrics=[accuracy_of(train)])
    return as_targets(train, classes).numpy(), as_targets(val, classes).numpy()


def _head_alone(model: tf_keras.Model, seed: int) -> tf_keras.Model:
    """Return a separate model of the layers after global pooling, from features to scores."""
    import tf_keras
    from tf_keras import layers

    tf_keras.utils.set_random_seed(seed)
    dense = model.get_layer(HEAD_LAYER)
    return tf_keras.Sequential(
        [
            layers.Input(model.get_layer(FEATURES_LAYER).output_shape[1:]),
            layers.Dropout(model.get_layer("dropout").rate),
            layers.Dense(dense.units, name=HEAD_LAYER),
            scores_layer(is_multi_label(model)),
        ]
    )


def _adam(learning_rate: float) -> tf_keras.optimizers.Optimizer:
    import tf_keras

    return tf_keras.optimizers.Adam(learning_rate)
