"""Chooses the representative dataset that full INT8 quantization measures activations with.

The converter gives each activation the range from its least to its greatest value on all the pictures, so what a number
of pictures is worth shows when other pictures give the same ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.model.manifest import Calibration
from trainer.errors import DatasetError
from trainer.training.augmentation.augment import normalize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract
    from trainer.types import Pixels

_BATCH = 32
_DRAWS = 8
_UNKNOWN_NETWORK = 256


def representative_set(
    pixels: Pixels, samples: int, seed: int, num_classes: int
) -> tuple[NDArray[np.uint8], Calibration]:
    """Takes the same number of pictures from each class, as far as there are so many.

    The first picture comes twice, the second time with one black and one white corner pixel: the input's range is
    then all of 0–255 whatever the photos hold, so that a stored int8 input is the pixel minus 128 exactly (with mean
    128 and std 127.5, scale 1/127.5 and zero point 0). Two pixels hardly move what the layers behind see; a drawn
    test picture would.

    Args:
        pixels: Of the training split, and of no other.
        samples: Pictures to take; all where there are fewer.
        seed: Of the choice.
        num_classes: Labels are 0 to this, exclusive.

    Returns:
        uint8 (N, height, width, 3) RGB, 0–255, in a fixed order, and how they were chosen.

    Raises:
        DatasetError: There are no pictures.
    """
    if len(pixels) == 0:
        raise DatasetError("Expected pictures in the training split to calibrate with, got none. Add photos.")
    chosen = stratified(pixels.strata, samples, seed, num_classes)
    images = np.concatenate([pixels.images[chosen], pixels.images[chosen[:1]]])
    images[-1, 0, 0], images[-1, 0, -1] = 0, 255
    record = Calibration(len(images), hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(), seed)
    return images, record


def stratified(labels: NDArray[np.int64], samples: int, seed: int, num_classes: int) -> NDArray[np.int64]:
    """Indices of ``samples`` pictures, taken from the classes in turn; each class shuffled."""
    rng = np.random.default_rng(seed)
    rank = np.empty(len(labels), np.int64)
    by_class = np.argsort(labels, kind="stable")
    # The last lot is that of pictures of no class.
    for members in np.split(by_class, np.searchsorted(labels[by_class], np.arange(1, num_classes + 1))):
        rank[rng.permutation(members)] = np.arange(len(members))
    order: NDArray[np.int64] = np.lexsort((labels, rank))
    return order[:samples]


def stable_samples(
    network: Any,
    pixels: Pixels,
    *,
    contract: InputContract,
    seed: int,
    num_classes: int,
    start: int = 64,
    limit: int = 1024,
    tolerance: float = 0.125,
) -> tuple[int, tuple[tuple[int, float], ...]]:
    """Finds how many pictures it takes until others would give the same ranges.

    The number is doubled until two disjoint sets of so many pictures, drawn class by class, agree: in nine of ten
    layers the narrower range is at least ``1 - tolerance`` of the wider one. That is the 90th percentile of the layers'
    disagreements, as a mean of 8 draws. (The median says nothing: most activations of a network with ReLU6 reach 6.)

    Args:
        network: A Keras model. For one that doesn't tell its layers, such as a SavedModel, 256 is the answer.
        pixels: Of the training split, and of no other.
        contract: Its mean and std.
        seed: Of the draws.
        num_classes: Labels are 0 to this, exclusive.
        start: The least number.
        limit: The greatest, which is the answer where no number below will do.
        tolerance: From 0 to 1.

    Returns:
        The number, for `representative_set`: as many pictures as one of the two sets holds, or all that there are; and
        for each number that was tried, how far the sets disagreed, from 0 to 1.
    """
    if not getattr(network, "_is_graph_network", False):
        return min(_UNKNOWN_NETWORK, len(pixels)), ()
    rng = np.random.default_rng(seed)
    order = stratified(pixels.strata, len(pixels), seed, num_classes)
    measure = _bounds_meter(network, contract)
    bounds: list[NDArray[np.float32]] = []  # of each picture, (layers, 2)
    trace: list[tuple[int, float]] = []
    samples = start
    while samples <= min(limit, len(pixels) // 2):
        chosen = order[: 2 * samples]
        for first in range(len(bounds), len(chosen), _BATCH):
            bounds.extend(measure(pixels.images[chosen[first : first + _BATCH]]))
        draws = [_disagreement(np.stack(bounds), pixels.strata[chosen], rng) for _ in range(_DRAWS)]
        trace.append((samples, float(np.mean(draws))))
        if trace[-1][1] <= tolerance:
            return samples, tuple(trace)
        samples *= 2
    return min(limit, len(pixels)), tuple(trace)


def _disagreement(bounds: NDArray[np.float32], labels: NDArray[np.int64], rng: np.random.Generator) -> float:
    """Halves the pictures at random, class by class, and compares the layers' ranges: their 90th percentile."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    halves = bounds[by_class[::2]], bounds[by_class[1::2]]
    widths = [half[..., 1].max(axis=0) - half[..., 0].min(axis=0) for half in halves]
    narrower, wider = np.minimum(*widths), np.maximum(*widths)
    return float(np.percentile(1 - narrower / np.where(wider > 0, wider, 1), 90))


def _bounds_meter(network: Any, contract: InputContract) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """From pictures (N, height, width, channels) to the least and the greatest value in each layer, (N, layers, 2)."""
    import tensorflow as tf
    import tf_keras

    body = tf_keras.Model(network.inputs, _stored_tensors(network))

    def measure(images: tf.Tensor) -> tf.Tensor:
        tensors = tf.nest.flatten(body(normalize(images, contract.mean, contract.std), training=False))
        each = [tf.reshape(tensor, (tf.shape(images)[0], -1)) for tensor in tensors]
        # Zero is in the range of every quantized tensor.
        lows = [tf.minimum(tf.reduce_min(values, axis=1), 0.0) for values in each]
        highs = [tf.maximum(tf.reduce_max(values, axis=1), 0.0) for values in each]
        return tf.stack([tf.stack(lows, axis=1), tf.stack(highs, axis=1)], axis=2)

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8)]
    function = tf.function(measure, input_signature=signature, autograph=False)
    return lambda images: np.asarray(function(images))


def _stored_tensors(network: Any) -> list[Any]:
    """The layers' outputs that a quantized network stores with a range of their own."""
    from tf_keras import layers

    passing = (layers.InputLayer, layers.Dropout, layers.Flatten, layers.Reshape, layers.Softmax, layers.ZeroPadding2D)
    fused = (layers.Activation, layers.BatchNormalization, layers.ReLU)
    tensors = []
    for layer in network.layers:
        followers = [node.layer for node in layer.outbound_nodes]
        vanishes = len(followers) == 1 and isinstance(followers[0], fused) and not _is_sigmoid(followers[0])
        if not vanishes and not isinstance(layer, passing) and not _is_sigmoid(layer):
            tensors.append(layer.inbound_nodes[0].outputs)
    return tensors


def _is_sigmoid(layer: Any) -> bool:
    """Whether a layer is a sigmoid of its own, whose output has a fixed range."""
    return getattr(getattr(layer, "activation", None), "__name__", "") == "sigmoid" and not layer.weights
