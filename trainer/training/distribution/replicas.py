"""How data and layers are shared among replicas, for code that runs inside or outside of a strategy's scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


def replicas() -> int:
    """Return the number of replicas in the current scope; 1 outside of any scope."""
    import tensorflow as tf

    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def copy_layer(layer: Any) -> Any:
    """Copy a layer for `tf_keras.models.clone_model`, with synchronized batch normalization if there are replicas.

    Unlike the fused layer, Keras' synchronized one keeps the moving variance without the factor ``n / (n - 1)``, for n
    values of a channel in a batch. Training is the same; validation differs only in small networks on few pixels.
    """
    import tf_keras

    config = layer.get_config()
    if replicas() > 1 and isinstance(layer, tf_keras.layers.BatchNormalization):
        config = {**config, "synchronized": True}
    return type(layer).from_config(config)


def training_batches(
    batches: tf.data.Dataset, change: Callable[..., Any], *, batch_size: int, dealt: bool = False, skip: int = 0
) -> Any:
    """Prepare training batches for Keras; each replica gets its part of every batch.

    Each machine makes whole batches, so that random changes do not depend on the number of machines. If the photos are
    dealt out among the workers, each worker draws its own batches, which then have their own numbers.

    Args:
        batches: Endless full batches; with ``dealt``, of the photos that this worker holds.
        change: Called with the number of a batch, for its random changes, and the batch.
        batch_size: Batch size of all replicas together, a multiple of their number.
        dealt: If True, this worker holds only a part of the photos.
        skip: Number of batches that were already trained on.
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
    """Prepare validation batches for Keras; each replica gets its part of every batch.

    The remainder that cannot be divided evenly is left out: a replica without a picture would fail, because
    TensorFlow 2.19's oneDNN convolution gives an empty batch the shape of its input.

    Args:
        batches: All batches, once.
        change: Called with each batch.
    """
    return _divided(_divisible(batches).map(change).prefetch(2))


def _divisible(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches without the remainder that cannot be divided evenly among the replicas."""
    import tensorflow as tf

    count = replicas()

    def whole(*batch: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(values[: tf.shape(values)[0] // count * count] for values in batch)

    return batches.map(whole).filter(lambda *batch: tf.shape(batch[0])[0] > 0) if count > 1 else batches


def _divided(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Batches that are split among the replicas."""
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options) if replicas() > 1 else batches
