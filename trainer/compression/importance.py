"""Ranks channels by how much the network would lose without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from trainer.compression.channels import ChannelGroup, followers
from trainer.errors import CompressionError
from trainer.training.augmentation.augment import normalize
from trainer.training.loop.fit import batches
from trainer.types import Pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tensorflow as tf
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

_PICTURES = 256
_BATCH = 16
_LEAST_SCORE = 1e-7


def channel_importance(
    model: tf_keras.Model,
    groups: Sequence[ChannelGroup],
    pixels: Pixels,
    *,
    contract: InputContract,
    kind: Literal["taylor", "batch_norm"] = "taylor",
) -> dict[str, NDArray[np.float32]]:
    """Measure the importance of each channel, comparable across groups.

    Args:
        model: Model that outputs scores (N, classes), after softmax, or after a sigmoid for multi-label data sets.
        groups: Groups from `trainer.compression.channels.channel_groups`.
        pixels: Training pictures at the model's input size; at most 256 are used, spread evenly.
        contract: Mean and standard deviation of the model's input.
        kind: ``"taylor"``: first-order estimate of the change in loss (Molchanov et al., "Importance Estimation for
            Neural Network Pruning", 2019); ``"batch_norm"``: scale of the batch normalization after the producer
            (Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", 2017), as a multiple of
            the group's mean, which needs no pictures.

    Returns:
        float32 (width,) for each group, by the producer's name.

    Raises:
        CompressionError: ``kind`` is ``"batch_norm"`` and a group has no batch normalization with a scale.
    """
    if kind == "batch_norm":
        return {group.producer: _scales(model, group) for group in groups}
    return _taylor(model, groups, pixels, contract)


def _scales(model: Any, group: ChannelGroup) -> NDArray[np.float32]:
    batch_norm = model.get_layer(group.batch_norms[0]) if group.batch_norms else None
    if batch_norm is None or not batch_norm.scale:
        raise CompressionError(
            f"Layer {group.producer} is not followed by a batch normalization with a scale. "
            'Set prune.importance to "taylor".'
        )
    scales: NDArray[np.float32] = np.abs(batch_norm.gamma.numpy())
    return np.asarray(scales / np.maximum(scales.mean(), np.finfo(np.float32).tiny))


def _taylor(
    model: Any, groups: Sequence[ChannelGroup], pixels: Pixels, contract: InputContract
) -> dict[str, NDArray[np.float32]]:
    """Mean squared gradient of a gate that multiplies each channel by 1.

    The gate's gradient is activation times gradient, summed over the channel's pixels. It is squared per picture,
    because the gradients of a trained network would cancel if they were summed first.
    """
    import tensorflow as tf
    import tf_keras

    gated = tf_keras.Model(model.input, [model.output, *(_gate(model, group) for group in groups)])

    @tf.function  # type: ignore[misc, untyped-decorator]
    def squared_gradients(images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        pictures = normalize(images, contract.mean, contract.std)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(pictures)
            scores, *activations = gated(pictures, training=False)
            if labels.shape.rank == 2:
                right = tf.where(labels > 0, scores, 1.0 - scores)
            else:
                right = tf.gather(scores, labels, batch_dims=1)
            loss = -tf.reduce_sum(tf.math.log(tf.maximum(right, _LEAST_SCORE)))
        gradients = tape.gradient(loss, activations)
        changes = [
            tf.reduce_sum(activation * gradient, axis=list(range(1, activation.shape.rank - 1)))
            for activation, gradient in zip(activations, gradients, strict=True)
        ]  # each (N, width)
        return [tf.reduce_sum(change**2, axis=0) for change in changes]

    chosen = _spread(pixels)
    totals = [np.zeros(group.width, np.float32) for group in groups]
    for images, labels in batches(chosen, _BATCH):
        for total, part in zip(totals, squared_gradients(images, labels), strict=True):
            total += part.numpy()
    return {group.producer: total / len(chosen) for group, total in zip(groups, totals, strict=True)}


def _gate(model: Any, group: ChannelGroup) -> tf_keras.KerasTensor:
    """The last tensor on which all consumers of a group depend."""
    layer = model.get_layer(group.producer)
    while len(followers(layer)) == 1 and followers(layer)[0].name not in group.consumers:
        layer = followers(layer)[0]
    return layer.output


def _spread(pixels: Pixels) -> Pixels:
    """Pick evenly spaced pictures; since folders are in order, this keeps the class proportions."""
    chosen = np.linspace(0, len(pixels) - 1, min(_PICTURES, len(pixels))).round().astype(np.int64)
    return Pixels(pixels.images[chosen], pixels.labels[chosen], tuple(pixels.paths[index] for index in chosen))
