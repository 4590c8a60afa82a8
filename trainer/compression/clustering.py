"""Weight clustering: each kernel holds a few different values only, with TFMOT.

Han, Mao & Dally, "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman
Coding", 2016. A model file with few values packs smaller; it computes as long as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.folding import kernel_name
from trainer.errors import CompressionError
from trainer.training.finetune import fit_augmented
from trainer.training.loop.fit import of_any_size

if TYPE_CHECKING:
    import tf_keras

    from edge_runtime.types import InputContract
    from trainer.config import AugmentConfig, ClusterConfig, FinetuneConfig
    from trainer.training.distillation import Teacher
    from trainer.types import Epoch, Pixels

_FEW_ZEROS = 0.01


def cluster(
    model: tf_keras.Model,
    train: Pixels,
    val: Pixels,
    config: ClusterConfig,
    finetuning: FinetuneConfig,
    augmentation: AugmentConfig,
    *,
    contract: InputContract,
    seed: int,
    teacher: Teacher | None = None,
    progress: bool = True,
) -> tuple[tf_keras.Model, list[Epoch]]:
    """Trains a network whose weights share a few values in each kernel.

    The kernels of Conv2D layers and of Dense layers are clustered, but for the convolution that reads the picture.
    A kernel that has no more values than that already is frozen. Where more than a hundredth of a kernel is zero, the
    zeros stay and zero is one of its values.

    Args:
        model: A trained functional or sequential model. It is not changed.
        train: Pictures to train on.
        val: Pictures that choose the best epoch and end the training.
        config: How many values.
        finetuning: How long and how fast: some 1e-4, as the network has learned already.
        augmentation: Random changes to the training pictures.
        contract: The model's size, mean and std.
        seed: On a CPU, the same seed gives the same weights.
        teacher: Whose answers are learned beside the labels; None: the labels alone.
        progress: Whether a bar is drawn on stderr.

    Returns:
        A network of the model's input size with the same layers; and the learning curve.

    Raises:
        CompressionError: There is nothing to cluster, or a kernel came out with more values.
    """
    import tf_keras

    limits = _limits(model, config.clusters)
    network, layers = _wrapped(of_any_size(model), limits)
    curve = fit_augmented(
        teacher.student_of(network) if teacher else network,
        train,
        val,
        finetuning,
        augmentation,
        contract=contract,
        seed=seed,
        teacher=teacher,
        stage="cluster",
        progress=progress,
    )
    clustered = tf_keras.models.clone_model(model)
    clustered.set_weights(model.get_weights())
    for name, layer in layers.items():
        clustered.get_layer(name).set_weights(_learned_weights(layer))
    found = distinct_values(clustered)
    for name, limit in limits.items():
        if found[name] > limit:
            raise CompressionError(
                f"Expected at most {limit} different weights in {name!r} after training, got {found[name]}. "
                "Set cluster.clusters to 0, or take another number."
            )
    return clustered, curve


def distinct_values(model: tf_keras.Model) -> dict[str, int]:
    """Number of different values in each kernel, by the name of the Conv2D, DepthwiseConv2D or Dense layer."""
    kernels = ((layer, kernel_name(layer)) for layer in model.layers)
    return {layer.name: len(np.unique(getattr(layer, kernel))) for layer, kernel in kernels if kernel is not None}


def _limits(model: Any, clusters: int) -> dict[str, int]:
    """How many values each kernel that is clustered may hold, by layer name."""
    from tf_keras.layers import Conv2D

    candidates = [layer for layer in model.layers if kernel_name(layer) == "kernel"]
    chosen = [layer for layer in candidates if type(layer) is not Conv2D or _inputs(layer) > model.input_shape[-1]]
    if not chosen:
        raise CompressionError(
            f"Expected convolutions of several channels or dense layers to cluster, got none in {model.name}. "
            "Set cluster.clusters to 0."
        )
    # Zero leaves room for one more value on either side.
    return {layer.name: max(clusters, 3) if _has_zeros(layer) else clusters for layer in chosen}


def _inputs(layer: Any) -> int:
    return int(layer.kernel.shape[-2])


def _has_zeros(layer: Any) -> bool:
    return bool(np.mean(layer.kernel.numpy() == 0) > _FEW_ZEROS)


def _wrapped(trained: Any, limits: dict[str, int]) -> tuple[Any, dict[str, Any]]:
    """A copy of a network that clusters in training, and its layers by the names that they had."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    init = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    layers: dict[str, Any] = {}

    def wrap(layer: Any) -> Any:
        made = layer.__class__.from_config(layer.get_config())
        if layer.name in limits and len(np.unique(layer.kernel)) > limits[layer.name]:
            # TFMOT reads the first centroids from the kernel as it is wrapped.
            made.build(layer.input_shape)
            made.set_weights(layer.get_weights())
            made = tfmot.clustering.keras.cluster_weights(
                made, limits[layer.name], init, preserve_sparsity=_has_zeros(layer)
            )
        elif layer.name in limits:
            made.trainable = False
        layers[layer.name] = made
        return made

    network = tf_keras.models.clone_model(trained, clone_function=wrap)
    for name, layer in layers.items():
        if not _is_clustered(layer):
            layer.set_weights(trained.get_layer(name).get_weights())
    return network, layers


def _is_clustered(layer: Any) -> bool:
    return hasattr(layer, "update_clustered_weights_associations")


def _learned_weights(layer: Any) -> list[Any]:
    """Kernel and bias; a wrapper's after each weight has taken its cluster's value."""
    if not _is_clustered(layer):
        return list(layer.get_weights())
    layer.update_clustered_weights_associations()
    # The kernel is no longer a variable of the layer, but what is computed of the centroids.
    return [layer.layer.kernel.numpy(), *layer.layer.get_weights()]
