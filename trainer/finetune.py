"""Training of the network itself: from its upper part upwards after the head, or all of it from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.augment import augment, normalize
from trainer.backbones import FEATURES_LAYER, Backbone
from trainer.config import AugmentConfig, FinetuneConfig
from trainer.training import batches, cosine_with_warmup, fit
from trainer.types import Epoch, Pixels

if TYPE_CHECKING:
    import tensorflow as tf
    import tf_keras

_VALIDATION_BATCH = 64


def finetune(
    model: tf_keras.Model,
    train: Pixels,
    val: Pixels,
    config: FinetuneConfig,
    augmentation: AugmentConfig,
    *,
    backbone: Backbone,
    seed: int,
    from_scratch: bool = False,
    progress: bool = True,
) -> list[Epoch]:
    """Trains the model on augmented pictures and leaves the weights of its best epoch in it.

    Batch normalization is in training mode in every layer that is trained, with the momentum that `trainer.backbones`
    sets. Frozen, it makes fine-tuning fragile: MobileNetV2 has channels of tiny variance, which turn a small step of
    a weight into a large one of the output.

    Args:
        model: From `trainer.backbones.build_model`, its head trained already unless from scratch.
        train: Pictures to train on.
        val: Pictures that choose the best epoch and end the training.
        config: How long and how fast.
        augmentation: Random changes to the training pictures.
        backbone: For its normalization.
        seed: On a CPU, the same seed gives the same weights.
        from_scratch: The model holds no pretrained weights.
        progress: Whether a bar is drawn on stderr.

    Returns:
        The learning curve; empty when ``config.epochs`` is 0.
    """
    import tensorflow as tf
    import tf_keras

    if config.epochs == 0:
        return []
    tf_keras.utils.set_random_seed(seed)
    steps = -(-len(train) // config.batch_size)
    schedule = cosine_with_warmup(
        config.learning_rate, steps=steps * config.epochs, warmup_steps=round(steps * config.warmup_epochs)
    )
    optimizer = tf_keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    network = _of_any_size(model)
    _freeze_below(network, 1.0 if from_scratch else config.unfreeze)
    loss = tf_keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    network.compile(optimizer, loss=loss, metrics=["accuracy"])

    classes, size = model.output_shape[-1], train_size(model.input_shape[1], config.train_size)

    def prepare(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalize(images, backbone.mean, backbone.std), tf.one_hot(labels, classes)

    def change(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        return prepare(augment(images, seeds, augmentation, size=size), labels)

    curve = fit(
        network,
        batches(train, config.batch_size, shuffle_seed=seed).repeat().enumerate().map(change).prefetch(2),
        batches(val, _VALIDATION_BATCH).map(prepare).prefetch(2),
        stage="finetune",
        epochs=config.epochs,
        steps=steps,
        patience=config.patience,
        progress=progress,
        steps_per_epoch=steps,
    )
    model.set_weights(network.get_weights())
    return curve


def train_size(input_size: int, share: float) -> int:
    """Height and width in training: a share of the input size, in multiples of 32, which halve evenly."""
    return input_size if share == 1.0 else min(input_size, max(32, round(input_size * share / 32) * 32))


def _of_any_size(model: tf_keras.Model) -> tf_keras.Model:
    """A copy of the model that takes pictures of any size: it trains on small ones and validates on full ones."""
    import tf_keras

    copy = tf_keras.models.clone_model(model, input_tensors=tf_keras.layers.Input((None, None, 3), name="any_size"))
    copy.set_weights(model.get_weights())
    return copy


def _freeze_below(model: tf_keras.Model, unfreeze: float) -> None:
    """Freezes the backbone's lower layers."""
    names = [layer.name for layer in model.layers]
    first = round(names.index(FEATURES_LAYER) * (1.0 - unfreeze))
    for index, layer in enumerate(model.layers):
        layer.trainable = index >= first
