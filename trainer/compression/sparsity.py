"""Magnitude pruning with TFMOT: the smallest weights of a network become zero while it trains.

Zhu & Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2017. A model file
with zeros compresses better; TensorFlow Lite's INT8 kernels take as long as before. The sparsity is divided among the
layers by their weights' magnitudes: Lee et al., "Layer-adaptive Sparsity for the Magnitude-based Pruning", 2021 (LAMP).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.layers import copy_layers, copy_network, input_channels, kernel_name
from trainer.errors import CompressionError
from trainer.training.finetune import FitSettings, fit_augmented
from trainer.training.loop.fit import of_any_size

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

    from trainer.config import SparsifyConfig
    from trainer.types import Epoch, TrainingSet

# Each update of a mask sorts a kernel; more updates do not make the growth any smoother.
_UPDATES = 50
# Input channels that a structure looks at together; they are adjacent in a TensorFlow Lite file.
_NEIGHBORS = 4
_TOLERANCE = 0.01
_FEW_ZEROS = 0.01
_LEAST_SHARE = 0.01
_SHOWN_LAYERS = 6


def sparsify(
    model: tf_keras.Model, data: TrainingSet, settings: FitSettings, config: SparsifyConfig
) -> tuple[tf_keras.Model, list[Epoch]]:
    """Train a network while its smallest weights become zero.

    Sparsity grows by Zhu & Gupta's cubic schedule in the first two thirds of the steps, and only epochs that end at
    full sparsity can be the best one. Each layer gets its own sparsity from `layer_adaptive`. With ``"2by4"`` all
    layers have the same one, and all zeros come in the first step, since TFMOT has no schedule for that structure.

    Args:
        model: Trained functional or sequential model. It is not changed.
        data: Pictures to train and validate on.
        settings: Epochs, augmentation, seed and teacher.
        config: Share of the weights that become zero, layers and structure. ``"2by4"`` and ``"block"`` look at four
            input channels of the same output together, which are adjacent in a TensorFlow Lite file.

    Returns:
        A network of the model's input size with the same layers, and the learning curve.

    Raises:
        CompressionError: The model has no layer to prune, a layer does not fit the structure, or a layer ended up
            with too few zeros.
    """
    import tensorflow_model_optimization as tfmot

    shares = _shares(_chosen(model, config), config)
    steps = -(-len(data.train) // settings.finetune.batch_size)
    frequency, end_step = _update_steps(steps * settings.finetune.epochs)
    gradual = config.structure != "2by4"
    schedules = {
        name: tfmot.sparsity.keras.PolynomialDecay(0.0, share, 0, end_step, frequency=frequency)
        for name, share in shares.items()
    }
    network, layers = _wrapped(of_any_size(model), config.structure, schedules)
    callbacks = (tfmot.sparsity.keras.UpdatePruningStep(), *settings.callbacks)
    settings = replace(settings, stage="sparsify", callbacks=callbacks)
    curve = fit_augmented(network, data, settings, start_epoch=-(-end_step // steps) - 1 if gradual else 0)
    sparse = copy_network(model)
    for name, layer in layers.items():
        _copy_weights(layer, sparse.get_layer(name))
    _expect_sparsity(sparse, shares, config)
    return sparse, curve


def check_layers(model: tf_keras.Model, config: SparsifyConfig) -> None:
    """Check, before any training, that a network has the layers to prune.

    Args:
        model: Functional or sequential model; its weights do not matter.
        config: Layers and structure.

    Raises:
        CompressionError: The model has no layer to prune, or a chosen layer does not fit the structure.
    """
    _chosen(model, config)


def layer_adaptive(magnitudes: Mapping[str, NDArray[np.float32]], sparsity: float) -> dict[str, float]:
    """Divide a sparsity among layers so that the network's output changes least.

    The score of a weight is its square over the sum of the squares of all weights in its layer that are not smaller.
    The weights with the lowest scores are removed, whichever layer they are in (Lee et al., 2021).

    Args:
        magnitudes: Magnitudes of each layer's weights or blocks of weights, at least 0, by layer name.
        sparsity: Share of all of them to remove, from 0 to below 1.

    Returns:
        Sparsity of each layer, 0–1, by name. Each layer keeps its largest weight or block.
    """
    scores = {name: _scores(values) for name, values in magnitudes.items()}
    ordered = np.sort(np.concatenate(list(scores.values())))
    least = ordered[min(round(sparsity * ordered.size), ordered.size - len(scores))]
    return {name: float(np.mean(found < least)) for name, found in scores.items()}


def layer_sparsity(model: tf_keras.Model) -> dict[str, float]:
    """Share of zeros in each kernel, 0–1, by the name of the Conv2D, DepthwiseConv2D or Dense layer."""
    return {name: float(np.mean(kernel == 0)) for name, kernel in _kernels(model).items()}


def total_sparsity(model: tf_keras.Model) -> float:
    """Share of zeros in the kernels of all Conv2D, DepthwiseConv2D and Dense layers together, 0–1."""
    kernels = _kernels(model).values()
    weights = sum(kernel.size for kernel in kernels)
    return sum(int(np.sum(kernel == 0)) for kernel in kernels) / weights if weights else 0.0


def zero_masks(model: tf_keras.Model, names: Collection[str] | None = None) -> dict[str, NDArray[np.bool_]]:
    """Find the zero weights that `trainer.quantization.qat.train.train_quantized` is to keep at zero.

    Args:
        model: Model whose kernels are read.
        names: Names of the layers to read; None: all layers.

    Returns:
        Bool arrays of the kernel's shape by layer name, True where a weight is zero. Layers with at most 1% zeros are
        left out.
    """
    kernels = {name: kernel == 0 for name, kernel in _kernels(model).items() if names is None or name in names}
    return {name: mask for name, mask in kernels.items() if mask.mean() > _FEW_ZEROS}


def _kernels(model: Any) -> dict[str, NDArray[np.float32]]:
    found = ((layer.name, layer, kernel_name(layer)) for layer in model.layers)
    return {name: getattr(layer, kernel).numpy() for name, layer, kernel in found if kernel is not None}


def _chosen(model: Any, config: SparsifyConfig) -> list[Any]:
    """Return the layers whose weights are pruned."""
    candidates = [layer for layer in model.layers if kernel_name(layer) == "kernel"]
    if config.layers:
        chosen = [layer for layer in candidates if any(fnmatchcase(layer.name, one) for one in config.layers)]
        if not chosen:
            raise CompressionError(
                f"sparsify.layers ({', '.join(config.layers)}) matches no convolution or dense layer of {model.name}. "
                f"Its layers are {_listed([layer.name for layer in candidates])}."
            )
        for layer in chosen:
            if reason := _obstacle(layer, config.structure):
                raise CompressionError(
                    f"sparsify.structure {config.structure!r} does not support layer {layer.name!r} of {model.name}: "
                    f"{reason}. Remove the layer from sparsify.layers, or set sparsify.structure to 'unstructured'."
                )
        return chosen
    chosen = [layer for layer in _usual(model, candidates) if not _obstacle(layer, config.structure)]
    if not chosen:
        raise CompressionError(
            f"{model.name} has no layer to prune with sparsify.structure {config.structure!r}. Name other layers in "
            "sparsify.layers, or set sparsify.sparsity to 0 to turn pruning off."
        )
    return chosen


def _shares(chosen: Sequence[Any], config: SparsifyConfig) -> dict[str, float]:
    """Sparsity of each layer, 0–1, by name."""
    if config.structure == "2by4":
        return {layer.name: config.sparsity for layer in chosen}
    return layer_adaptive({layer.name: _magnitudes(layer.kernel.numpy(), config) for layer in chosen}, config.sparsity)


def _scores(magnitudes: NDArray[np.float32]) -> NDArray[np.float64]:
    """LAMP scores in ascending order; the last one is 1."""
    squares = np.sort(magnitudes.ravel().astype(np.float64)) ** 2
    remaining = np.cumsum(squares[::-1])[::-1]
    return np.divide(squares, remaining, out=np.ones_like(squares), where=remaining > 0)


def _magnitudes(kernel: NDArray[np.float32], config: SparsifyConfig) -> NDArray[np.float32]:
    """Magnitudes of the weights or, with blocks, mean magnitude of each block."""
    magnitudes: NDArray[np.float32] = np.abs(kernel)
    in_blocks = config.structure == "block"
    return magnitudes.reshape(-1, _NEIGHBORS, kernel.shape[-1]).mean(axis=1) if in_blocks else magnitudes


def _usual(model: Any, candidates: Sequence[Any]) -> list[Any]:
    """Return the layers that are pruned by default.

    Left out are the layer that reads the picture, the one that outputs the classes, and layers with a tiny share of
    the weights: those come first in the network, and all others depend on them.
    """
    from tf_keras.layers import Dense

    dense = [layer for layer in candidates if isinstance(layer, Dense)]
    channels = model.input_shape[-1]
    inner = [one for one in candidates if (one not in dense[-1:] if one in dense else input_channels(one) > channels)]
    weights = {layer.name: math.prod(layer.kernel.shape) for layer in inner}
    least = min(_LEAST_SHARE, 1 / max(1, len(inner))) * sum(
        weights.values()
    )  # so that many equal layers are not all small
    return [layer for layer in inner if weights[layer.name] >= least]


def _obstacle(layer: Any, structure: str) -> str:
    """Why a layer does not support a structure; empty if it does."""
    if structure == "unstructured":
        return ""
    if input_channels(layer) % _NEIGHBORS:
        return f"its {input_channels(layer)} input channels are not a multiple of {_NEIGHBORS}"
    # TFMOT prunes only two-dimensional kernels in blocks; a 1×1 convolution is a dense layer at every pixel.
    if structure == "block" and not _is_dense(layer):
        return "it is neither a dense layer nor a 1×1 convolution of stride 1"
    return ""


def _is_dense(layer: Any) -> bool:
    """Whether a layer is a dense layer or an equivalent convolution."""
    from tf_keras.layers import Dense

    if isinstance(layer, Dense):
        return True
    plain = layer.groups == 1 and layer.data_format == "channels_last"
    return bool(plain and layer.kernel_size == (1, 1) and layer.strides == (1, 1))


def _update_steps(steps: int) -> tuple[int, int]:
    """Number of steps between updates of the masks, and the step of the last update.

    TFMOT's default is every 100 steps, which would mean no update at all in a shorter training, and the end step would
    be left out unless it is a multiple of 100.
    """
    end = max(1, steps * 2 // 3)
    frequency = max(1, end // _UPDATES)
    return frequency, end // frequency * frequency


def _wrapped(trained: Any, structure: str, schedules: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Copy a network so that its kernels are pruned in training; return its layers by their original names, too."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    # TFMOT's kernels are (in, out): its 4×1 is 1×4 in the file.
    options = {"2by4": {"sparsity_m_by_n": (2, _NEIGHBORS)}, "block": {"block_size": (_NEIGHBORS, 1)}}

    def wrap(layer: Any) -> Any:
        pruned = layer.name in schedules
        in_blocks = pruned and structure == "block" and isinstance(layer, tf_keras.layers.Conv2D)
        copy = _as_dense(layer) if in_blocks else layer.__class__.from_config(layer.get_config())
        if pruned:
            return tfmot.sparsity.keras.prune_low_magnitude(copy, schedules[layer.name], **options.get(structure, {}))
        return copy

    network, layers = copy_layers(trained, wrap)
    for name, layer in layers.items():
        _copy_weights(trained.get_layer(name), layer)
    return network, layers


def _as_dense(convolution: Any) -> Any:
    """Return the dense layer that is equivalent to a 1×1 convolution."""
    import tf_keras

    config = convolution.get_config()
    shared = ("name", "trainable", "dtype", "activation", "use_bias", "kernel_regularizer", "bias_regularizer")
    return tf_keras.layers.Dense.from_config({"units": config["filters"], **{name: config[name] for name in shared}})


def _copy_weights(source: Any, target: Any) -> None:
    """Copy weights between layers that differ only in a wrapper or in two kernel dimensions of size 1."""
    weights = zip(source.get_weights(), target.get_weights(), strict=True)
    target.set_weights([weight.reshape(old.shape) for weight, old in weights])


def _expect_sparsity(model: Any, shares: Mapping[str, float], config: SparsifyConfig) -> None:
    for name, share in shares.items():
        kernel = model.get_layer(name).get_weights()[0]
        reached = float(np.mean(kernel == 0))
        units = kernel.size / (_NEIGHBORS if config.structure == "block" else 1)
        # TFMOT rounds the number of weights or blocks that stay, and keeps at least one.
        if reached < share - max(_TOLERANCE, 1 / units):
            raise CompressionError(
                f"Only {math.floor(reached * 1000) / 10}% of the weights of layer {name!r} are zero after training, "
                f"less than the intended {share:.0%}. Raise sparsify.epochs, or remove the layer from sparsify.layers."
            )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_LAYERS
    return (", ".join(names[:_SHOWN_LAYERS]) or "none") + (f" and {more} more" if more > 0 else "")
