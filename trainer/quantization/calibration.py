"""Chooses the representative dataset, from which INT8 quantization measures the ranges of activations.

The converter sets each activation's range to its minimum and maximum over all pictures. A number of pictures is enough
if other pictures give the same ranges.
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
    """Draw pictures for calibration, equally many from each class as long as it has enough.

    The first picture is repeated with one black and one white corner pixel. The input's range is then always 0–255, so
    that a stored int8 input is exactly the pixel minus 128 (with mean 128 and std 127.5, scale 1/127.5 and zero point
    0). Two pixels hardly change the activations of later layers; a synthetic test picture would.

    Args:
        pixels: Pictures of the training set; never those of another split.
        samples: Number of pictures to draw; all of them if there are fewer.
        seed: Seed of the random draw.
        num_classes: Number of classes; labels are 0 to ``num_classes - 1``.

    Returns:
        uint8 (N, height, width, 3) RGB, 0–255, in a fixed order, and a record of how they were chosen.

    Raises:
        DatasetError: There are no pictures.
    """
    if len(pixels) == 0:
        raise DatasetError("The training set is empty, so there are no pictures to calibrate with. Add photos.")
    chosen = stratified(pixels.strata, samples, seed, num_classes)
    images = np.concatenate([pixels.images[chosen], pixels.images[chosen[:1]]])
    images[-1, 0, 0], images[-1, 0, -1] = 0, 255
    record = Calibration(len(images), hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(), seed)
    return images, record


def stratified(labels: NDArray[np.int64], samples: int, seed: int, num_classes: int) -> NDArray[np.int64]:
    """Draw pictures from the classes in turn, each class in random order.

    Args:
        labels: int64 (N,), class indices; ``num_classes`` stands for pictures of no class.
        samples: Number of pictures to draw; all of them if there are fewer.
        seed: Seed of the random order.
        num_classes: Number of classes.

    Returns:
        int64 (samples,), indices into ``labels``.
    """
    rng = np.random.default_rng(seed)
    rank = np.empty(len(labels), np.int64)
    by_class = np.argsort(labels, kind="stable")
    # The last group holds the pictures of no class.
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
    """Find the number of calibration pictures from which on other pictures give the same ranges.

    The number is doubled until two disjoint sets of that size, drawn class by class, agree: in 90% of the layers the
    narrower range is at least ``1 - tolerance`` of the wider one. The measure is the 90th percentile of the layers'
    disagreements, averaged over 8 draws. (The median is useless: most activations in a network with ReLU6 reach 6.)

    Args:
        network: Keras model. If its layers are not accessible, as in a SavedModel, the result is 256.
        pixels: Pictures of the training set; never those of another split.
        contract: Mean and standard deviation of the network's input.
        seed: Seed of the random draws.
        num_classes: Number of classes; labels are 0 to ``num_classes - 1``.
        start: Smallest number to try.
        limit: Largest number, which is the result if no smaller one is enough.
        tolerance: Largest disagreement of the ranges, 0–1.

    Returns:
        The number of pictures for `representative_set`, which is the size of one of the two sets or the number of all
        pictures; and the disagreement, 0–1, for each number that was tried.
    """
    if not getattr(network, "_is_graph_network", False):
        return min(_UNKNOWN_NETWORK, len(pixels)), ()
    rng = np.random.default_rng(seed)
    order = stratified(pixels.strata, len(pixels), seed, num_classes)
    measure = _bounds_meter(network, contract)
    bounds: list[NDArray[np.float32]] = []  # one array (layers, 2) per picture
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
    """Split the pictures in random halves, class by class; return the 90th percentile of the ranges' disagreement."""
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    halves = bounds[by_class[::2]], bounds[by_class[1::2]]
    widths = [half[..., 1].max(axis=0) - half[..., 0].min(axis=0) for half in halves]
    narrower, wider = np.minimum(*widths), np.maximum(*widths)
    return float(np.percentile(1 - narrower / np.where(wider > 0, wider, 1), 90))


def _bounds_meter(network: Any, contract: InputContract) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Return a function from pictures, uint8 (N, height, width, channels), to each layer's bounds, (N, layers, 2)."""
    import tensorflow as tf
    import tf_keras

    body = tf_keras.Model(network.inputs, _stored_tensors(network))

    def measure(images: tf.Tensor) -> tf.Tensor:
        tensors = tf.nest.flatten(body(normalize(images, contract.mean, contract.std), training=False))
        each = [tf.reshape(tensor, (tf.shape(images)[0], -1)) for tensor in tensors]
        # The range of every quantized tensor contains zero.
        lows = [tf.minimum(tf.reduce_min(values, axis=1), 0.0) for values in each]
        highs = [tf.maximum(tf.reduce_max(values, axis=1), 0.0) for values in each]
        return tf.stack([tf.stack(lows, axis=1), tf.stack(highs, axis=1)], axis=2)

    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8)]
    function = tf.function(measure, input_signature=signature, autograph=False)
    return lambda images: np.asarray(function(images))


def _stored_tensors(network: Any) -> list[Any]:
    """Outputs of the layers that a quantized network stores with a range of their own."""
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
    """Whether a layer is a separate sigmoid, whose output has a fixed range."""
    return getattr(getattr(layer, "activation", None), "__name__", "") == "sigmoid" and not layer.weights
