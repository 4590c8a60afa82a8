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

    Batch normalization keeps its ImageNet statistics, and its layers stay as they are, when pretrained weights are
    fine-tuned: in training mode it lost a point and more on small sets of photos. From scratch it learns, with
    the momentum that `trainer.backbones` sets, and every layer is trained.

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
    _set_trainable(model, 1.0 if from_scratch else config.unfreeze, batch_norm=from_scratch)
    optimizer = tf_keras.optimizers.AdamW(schedule, weight_decay=config.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    loss = tf_keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    model.compile(optimizer, loss=loss, metrics=["accuracy"])

    classes = model.output_shape[-1]

    def prepare(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return normalize(images, backbone.mean, backbone.std), tf.one_hot(labels, classes)

    def change(number: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        return prepare(augment(images, tf.stack([tf.constant(seed, tf.int64), number]), augmentation), labels)

    training = batches(train, config.batch_size, shuffle_seed=seed).repeat().enumerate().map(change).prefetch(2)
    curve = fit(
        model,
        training,
        batches(val, _VALIDATION_BATCH).map(prepare).prefetch(2),
        stage="finetune",
        epochs=config.epochs,
        steps=steps,
        patience=config.patience,
        progress=progress,
        steps_per_epoch=steps,
    )
    model.trainable = True
    return curve


def _set_trainable(model: tf_keras.Model, unfreeze: float, *, batch_norm: bool) -> None:
    """Freezes the backbone's lower layers, and batch normalization (which then also keeps its statistics)."""
    from tf_keras.layers import BatchNormalization

    names = [layer.name for layer in model.layers]
    body_length = names.index(FEATURES_LAYER)
    first = round(body_length * (1.0 - unfreeze))
    for index, layer in enumerate(model.layers):
        layer.trainable = index >= first and (batch_norm or not isinstance(layer, BatchNormalization))
