"""Cross-layer equalization: balances the channels of linear bottlenecks, which share one scale in INT8.

Between a convolution whose output is not clipped (the projections of inverted residual blocks, with the sums that they
go into) and the convolutions that read it, each channel can be divided by a factor that the readers multiply back. The
network computes the same, but channels of small range no longer vanish in the rounding of the largest one (Nagel et
al., "Data-Free Quantization Through Weight Equalization and Bias Correction", 2019, section 4.1; here with ranges
measured on real pictures).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.layers import copy_network
from trainer.training.augmentation.augment import normalize

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract

_PICTURES = 64
_BATCH = 16


@dataclass(frozen=True)
class _Bottleneck:
    """Layers whose outputs must share their factors, because they are added up, and the convolutions that read them."""

    writers: tuple[Any, ...]
    readers: tuple[Any, ...]


def equalize(model: tf_keras.Model, images: NDArray[np.uint8], *, contract: InputContract) -> tf_keras.Model:
    """Return an equivalent copy of a model with balanced channels.

    Args:
        model: Functional or sequential model. It is not changed.
        images: Representative dataset, uint8 (N, height, width, channels), 0–255; the first 64 are used.
        contract: Mean and standard deviation of the model's input.
    """
    import tf_keras

    copy = copy_network(model)
    bottlenecks = _bottlenecks(copy)
    if not bottlenecks:
        return copy
    ranges = _ranges(copy, [layer for b in bottlenecks for layer in b.writers], images[:_PICTURES], contract)
    for bottleneck in bottlenecks:
        written = np.max([ranges[layer.name] for layer in bottleneck.writers], axis=0)
        read = np.max([_reach(layer) for layer in bottleneck.readers], axis=0)
        # A compromise between equal activations and equal weights, since both are stored with one scale.
        factors = np.sqrt(np.maximum(written, 1e-6) / np.maximum(read, 1e-6))
        factors /= np.exp(np.log(factors).mean())
        for layer in bottleneck.writers:
            if isinstance(layer, tf_keras.layers.BatchNormalization):
                gamma, beta, *statistics = layer.get_weights()
                layer.set_weights([gamma / factors, beta / factors, *statistics])
        for layer in bottleneck.readers:
            kernel, *rest = layer.get_weights()
            layer.set_weights([kernel * factors[:, None], *rest])
    return copy


def _bottlenecks(model: Any) -> list[_Bottleneck]:
    """Groups of unclipped tensors, written by batch normalizations and sums and read only by convolutions."""
    import tf_keras

    kinds = (tf_keras.layers.BatchNormalization, tf_keras.layers.Add)
    linear = {
        layer.name: layer
        for layer in model.layers
        if isinstance(layer, kinds)
        and _followers(layer)
        and all(_reads_linearly(follower) for follower in _followers(layer))
        and getattr(layer, "scale", True)
        and getattr(layer, "center", True)
    }
    groups: dict[str, set[str]] = {name: {name} for name in linear}
    for name, layer in linear.items():
        for follower in _followers(layer):
            if follower.name in linear:  # a sum: one group from here on
                merged = groups[name] | groups[follower.name]
                groups.update(dict.fromkeys(merged, merged))
    found = []
    for names in {frozenset(group) for group in groups.values()}:
        writers = tuple(layer for layer in model.layers if layer.name in names)
        followers = {f.name: f for layer in writers for f in _followers(layer) if f.name not in names}
        sums = [layer for layer in writers if isinstance(layer, tf_keras.layers.Add)]
        whole = all(source.name in names for layer in sums for source in _sources(layer))
        if whole and followers and not any(isinstance(f, tf_keras.layers.Add) for f in followers.values()):
            found.append(_Bottleneck(writers, tuple(followers.values())))
    return found


def _reads_linearly(layer: Any) -> bool:
    import tf_keras

    depthwise = isinstance(layer, tf_keras.layers.DepthwiseConv2D)
    convolution = isinstance(layer, tf_keras.layers.Conv2D) and not depthwise and layer.groups == 1
    return convolution or isinstance(layer, tf_keras.layers.Add)


def _followers(layer: Any) -> list[Any]:
    return [node.layer for node in layer.outbound_nodes]


def _sources(layer: Any) -> list[Any]:
    return [tensor._keras_history.layer for tensor in layer.input]


def _reach(layer: Any) -> NDArray[np.float32]:
    """Largest ratio, for each input channel, of one of its weights to the largest weight of the output channel."""
    weights = np.abs(layer.get_weights()[0])
    shares: NDArray[np.float32] = weights / np.maximum(weights.max(axis=(0, 1, 2), keepdims=True), 1e-12)
    return np.asarray(shares.max(axis=(0, 1, 3)), np.float32)


def _ranges(
    model: Any, layers: list[Any], images: NDArray[np.uint8], contract: InputContract
) -> dict[str, NDArray[np.float32]]:
    """Largest absolute value of each channel of each layer's output, float32 (channels,) by layer name."""
    import tensorflow as tf
    import tf_keras

    body = tf_keras.Model(model.input, [layer.output for layer in layers])
    largest = [np.zeros(layer.output.shape[-1], np.float32) for layer in layers]
    for start in range(0, len(images), _BATCH):
        outputs = body(normalize(images[start : start + _BATCH], contract.mean, contract.std), training=False)
        outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        seen = [tf.reduce_max(tf.abs(output), axis=list(range(output.shape.rank - 1))).numpy() for output in outputs]
        largest = [np.maximum(a, b) for a, b in zip(largest, seen, strict=True)]
    return {layer.name: values for layer, values in zip(layers, largest, strict=True)}
