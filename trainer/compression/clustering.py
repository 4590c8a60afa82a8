"""Weight clustering with TFMOT: each kernel holds only a few distinct values.

Han, Mao & Dally, "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
Coding", 2016. A model file with few distinct values compresses better; inference takes as long as before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.layers import copy_layers, copy_network, input_channels, kernel_name
from trainer.errors import CompressionError
from trainer.training.finetune import FitSettings, fit_augmented
from trainer.training.loop.fit import of_any_size

if TYPE_CHECKING:
    import tf_keras

    from trainer.config import ClusterConfig
    from trainer.types import Epoch, TrainingSet

_FEW_ZEROS = 0.01


def cluster(
    model: tf_keras.Model, data: TrainingSet, settings: FitSettings, config: ClusterConfig
) -> tuple[tf_keras.Model, list[Epoch]]:
    """Train a network whose kernels hold a few distinct values each.

    The kernels of Conv2D and Dense layers are clustered, except for the convolution that reads the picture. A kernel
    that already has few enough values is frozen. If more than 1% of a kernel's weights are zero, they stay zero, and
    zero is one of its values.

    Args:
        model: Trained functional or sequential model. It is not changed.
        data: Pictures to train and validate on.
        settings: Epochs, augmentation, seed and teacher. The learning rate should be low (around 1e-4), since the
            network is trained already.
        config: Number of distinct values in a kernel.

    Returns:
        A network of the model's input size with the same layers, and the learning curve.

    Raises:
        CompressionError: The model has no layer to cluster, or a kernel ended up with too many values.
    """
    limits = _limits(model, config.clusters)
    network, layers = _wrapped(of_any_size(model), limits)
    curve = fit_augmented(network, data, replace(settings, stage="cluster"))
    clustered = copy_network(model)
    for name, layer in layers.items():
        clustered.get_layer(name).set_weights(_learned_weights(layer))
    found = distinct_values(clustered)
    for name, limit in limits.items():
        if found[name] > limit:
            raise CompressionError(
                f"Clustering left {found[name]} distinct weights in layer {name!r} instead of at most {limit}. "
                "Change the number in cluster.clusters, or set it to 0 to turn clustering off."
            )
    return clustered, curve


def distinct_values(model: tf_keras.Model) -> dict[str, int]:
    """Count the distinct values in each kernel, by the name of the Conv2D, DepthwiseConv2D or Dense layer."""
    kernels = ((layer, kernel_name(layer)) for layer in model.layers)
    return {layer.name: len(np.unique(getattr(layer, kernel))) for layer, kernel in kernels if kernel is not None}


def _limits(model: Any, clusters: int) -> dict[str, int]:
    """Largest number of distinct values in each kernel that is clustered, by layer name."""
    from tf_keras.layers import Conv2D

    candidates = [layer for layer in model.layers if kernel_name(layer) == "kernel"]
    chosen = [
        layer for layer in candidates if type(layer) is not Conv2D or input_channels(layer) > model.input_shape[-1]
    ]
    if not chosen:
        raise CompressionError(
            f"{model.name} has no layer to cluster: no dense layer, and no convolution after the first. "
            "Set cluster.clusters to 0 to turn clustering off."
        )
    # With zero as one of the values, there must be room for one more on either side.
    return {layer.name: max(clusters, 3) if _has_zeros(layer) else clusters for layer in chosen}


def _has_zeros(layer: Any) -> bool:
    return bool(np.mean(layer.kernel.numpy() == 0) > _FEW_ZEROS)


def _wrapped(trained: Any, limits: dict[str, int]) -> tuple[Any, dict[str, Any]]:
    """Copy a network so that its kernels are clustered in training; return its layers by their original names, too."""
    import tensorflow_model_optimization as tfmot

    init = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS

    def wrap(layer: Any) -> Any:
        made = layer.__class__.from_config(layer.get_config())
        if layer.name in limits and len(np.unique(layer.kernel)) > limits[layer.name]:
            # TFMOT reads the first centroids from the kernel when it wraps the layer.
            made.build(layer.input_shape)
            made.set_weights(layer.get_weights())
            return tfmot.clustering.keras.cluster_weights(
                made, limits[layer.name], init, preserve_sparsity=_has_zeros(layer)
            )
        if layer.name in limits:
            made.trainable = False
        return made

    network, layers = copy_layers(trained, wrap)
    for name, layer in layers.items():
        if not _is_clustered(layer):
            layer.set_weights(trained.get_layer(name).get_weights())
    return network, layers


def _is_clustered(layer: Any) -> bool:
    return hasattr(layer, "update_clustered_weights_associations")


def _learned_weights(layer: Any) -> list[Any]:
    """Kernel and bias; in a wrapped layer, each weight takes the value of its cluster first."""
    if not _is_clustered(layer):
        return list(layer.get_weights())
    layer.update_clustered_weights_associations()
    # The kernel is no longer a variable of the layer; it is computed from the centroids.
    return [layer.layer.kernel.numpy(), *layer.layer.get_weights()]
