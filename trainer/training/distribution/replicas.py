"""What each of several replicas sees of a training: for code that runs in a strategy's scope, or in none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


def replicas() -> int:
    """Number of replicas in this scope; 1 outside of one."""
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def copy_layer(layer: Any) -> Any:
    """For `tf_keras.models.clone_model`: several replicas' batch normalization is that of the whole batch.

    Keras' synchronized layer keeps the moving variance without the factor ``n / (n - 1)`` that the fused one has, for n
    values of a channel in a batch: training is the same, and validation in all but small networks on few pixels.
    """
    import tf_keras

    config = layer.get_config()
    if replicas() > 1 and isinstance(layer, tf_keras.layers.BatchNormalization):
        config = {**config, "synchronized": True}
    return type(layer).from_config(config)


def training_batches(
    batches: tf.data.Dataset, change: Callable[..., Any], *, batch_size: int, dealt: bool = False, skip: int = 0
) -> Any:
    """Batches as Keras is to take them to train: of each, every replica gets its part.

    The whole batch is made on each machine, so that random changes are the same however many there are. Dealt photos
    are drawn by each worker for itself; its batches then have numbers of their own.

    Args:
        batches: Without end, and full; of dealt photos, of those that this worker holds.
        change: Takes a batch's number, for its random changes, and the batch.
        batch_size: Of all replicas together, a multiple of their number.
        dealt: Whether this worker holds a part of the photos alone.
        skip: Batches that were trained on before.
    """
    import tensorflow as tf

    count = replicas()

    def mine(context: tf.distribute.InputContext) -> tf.data.Dataset:
        def number(position: tf.Tensor, batch: Any) -> tuple[tf.Tensor, Any]:
            return position * context.num_input_pipelines + context.input_pipeline_id, batch

        parts = batches.rebatch(batch_size // count)
        return parts.enumerate().map(number).map(change).prefetch(2)

    if count > 1 and dealt:
        return tf.distribute.get_strategy().distribute_datasets_from_function(mine)
    return _divided(batches.enumerate().skip(skip).map(change).prefetch(2))


def validation_batches(batches: tf.data.Dataset, change: Callable[..., Any]) -> tf.data.Dataset:
    """Batches as Keras is to take them to validate: of each, every replica gets its part.

    The rest that can't be divided is left out: a replica with no picture at all would fail, since TensorFlow 2.19's
    oneDNN convolution gives an empty batch the shape of its input.

    Args:
        batches: All there are, once.
        change: Takes a batch.
    """
    return _divided(_divisible(batches).map(change).prefetch(2))


def _divisible(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches, each without the rest that can't be divided among the replicas."""
    import tensorflow as tf

    count = replicas()

    def whole(*batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(values[: tf.shape(values)[0] // count * count] for values in batch)

    return batches.map(whole).filter(lambda *batch: tf.shape(batch[0])[0] > 0) if count > 1 else batches


def _divided(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches of which each replica takes its part."""
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options) if replicas() > 1 else batches
