"""Magnitude pruning: a network's smallest weights become zero while it trains, with TFMOT.

Zhu & Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression", 2017. A model file
with zeros packs smaller; TensorFlow Lite's INT8 kernels take as long as before.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.folding import kernel_name
from trainer.errors import CompressionError
from trainer.training.finetune import fit_augmented
from trainer.training.loop.fit import of_any_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract
    from trainer.config import AugmentConfig, FinetuneConfig, SparsifyConfig
    from trainer.training.distillation import Teacher
    from trainer.types import Epoch, Pixels

# Each update of a mask sorts a kernel; more of them make the growth no smoother.
_UPDATES = 50
# Neighbours that a structure looks at together: input channels, which lie side by side in a TensorFlow Lite file.
_NEIGHBOURS = 4
_TOLERANCE = 0.01
_FEW_ZEROS = 0.01
_LEAST_SHARE = 0.01
_SHOWN_LAYERS = 6


def sparsify(
    model: tf_keras.Model,
    train: Pixels,
    val: Pixels,
    config: SparsifyConfig,
    finetuning: FinetuneConfig,
    augmentation: AugmentConfig,
    *,
    contract: InputContract,
    seed: int,
    teacher: Teacher | None = None,
    progress: bool = True,
) -> tuple[tf_keras.Model, list[Epoch]]:
    """Trains a network while its smallest weights become zero.

    Sparsity grows by Zhu & Gupta's cubic schedule in the first two thirds of the steps, and only epochs that end at
    full sparsity may be the best one. With ``"2by4"`` all zeros come at once, in the first step: TFMOT has no schedule
    for it. Otherwise a layer loses as many weights as `trainer.compression.sparsity` finds that it can spare.

    Args:
        model: A trained functional or sequential model. It is not changed.
        train: Pictures to train on.
        val: Pictures that choose the best epoch and end the training.
        config: How many weights become zero, in which layers and in which structure. Four neighbours of ``"2by4"`` and
            ``"block"`` are four input channels of the same output, which lie side by side in a TensorFlow Lite file.
        finetuning: How long and how fast.
        augmentation: Random changes to the training pictures.
        contract: The model's size, mean and std.
        seed: On a CPU, the same seed gives the same weights.
        teacher: Whose answers are learned beside the labels; None: the labels alone.
        progress: Whether a bar is drawn on stderr.

    Returns:
        A network of the model's input size with the same layers; and the learning curve.

    Raises:
        CompressionError: There is nothing to prune, a layer can't be pruned so, or missed its sparsity.
    """
    import tensorflow_model_optimization as tfmot
    import tf_keras

    shares = _shares(_chosen(model, config), config)
    steps = -(-len(train) // finetuning.batch_size)
    frequency, end_step = _update_steps(steps * finetuning.epochs)
    gradual = config.structure != "2by4"
    schedules = {
        name: tfmot.sparsity.keras.PolynomialDecay(0.0, share, 0, end_step, frequency=frequency)
        for name, share in shares.items()
    }
    network, layers = _wrapped(of_any_size(model), config.structure, schedules)
    curve = fit_augmented(
        teacher.student_of(network) if teacher else network,
        train,
        val,
        finetuning,
        augmentation,
        contract=contract,
        seed=seed,
        teacher=teacher,
        stage="sparsify",
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep()],
        start_epoch=-(-end_step // steps) - 1 if gradual else 0,
        progress=progress,
    )
    sparse = tf_keras.models.clone_model(model)
    sparse.set_weights(model.get_weights())
    for name, layer in layers.items():
        _copy_weights(layer, sparse.get_layer(name))
    _expect_sparsity(sparse, shares, config)
    return sparse, curve


def check_layers(model: tf_keras.Model, config: SparsifyConfig) -> None:
    """Checks, before any training, that a network's weights can be pruned as asked.

    Args:
        model: A functional or sequential model; its weights play no part.
        config: Layers and structure.

    Raises:
        CompressionError: They can't; the message says why.
    """
    _chosen(model, config)


def layer_sparsity(model: tf_keras.Model) -> dict[str, float]:
    """Share of zeros in each kernel, 0–1, by the name of the Conv2D, DepthwiseConv2D or Dense layer."""
    return {name: float(np.mean(kernel == 0)) for name, kernel in _kernels(model).items()}


def total_sparsity(model: tf_keras.Model) -> float:
    """Share of zeros in the kernels of all Conv2D, DepthwiseConv2D and Dense layers together, 0–1."""
    kernels = _kernels(model).values()
    weights = sum(kernel.size for kernel in kernels)
    return sum(int(np.sum(kernel == 0)) for kernel in kernels) / weights if weights else 0.0


def zero_masks(model: tf_keras.Model, names: Collection[str] | None = None) -> dict[str, NDArray[np.bool_]]:
    """Where a network's weights are zero, for `trainer.quantization.qat.train.train_quantized` to keep them so.

    Args:
        model: Its layers' kernels are read.
        names: Of the layers to read; None: all of them.

    Returns:
        By layer name and of the kernel's shape, True where a weight is zero; without the layers in which no more than
        a hundredth of the weights is.
    """
    kernels = {name: kernel == 0 for name, kernel in _kernels(model).items() if names is None or name in names}
    return {name: mask for name, mask in kernels.items() if mask.mean() > _FEW_ZEROS}


def _kernels(model: Any) -> dict[str, NDArray[np.float32]]:
    found = ((layer.name, layer, kernel_name(layer)) for layer in model.layers)
    return {name: getattr(layer, kernel).numpy() for name, layer, kernel in found if kernel is not None}


def _chosen(model: Any, config: SparsifyConfig) -> list[Any]:
    """The layers whose weights are pruned."""
    candidates = [layer for layer in model.layers if kernel_name(layer) == "kernel"]
    if config.layers:
        chosen = [layer for layer in candidates if any(fnmatchcase(layer.name, one) for one in config.layers)]
        if not chosen:
            raise CompressionError(
                f"Expected sparsify.layers to fit a convolution or dense layer of {model.name}, "
                f"got {', '.join(config.layers)}. It has {_listed([layer.name for layer in candidates])}."
            )
        for layer in chosen:
            if reason := _obstacle(layer, config.structure):
                raise CompressionError(
                    f"Expected layers that sparsify.structure {config.structure!r} serves, got {layer.name!r} in "
                    f"{model.name}, {reason}. Leave it out of sparsify.layers, or prune unstructured."
                )
        return chosen
    chosen = [layer for layer in _usual(model, candidates) if not _obstacle(layer, config.structure)]
    if not chosen:
        raise CompressionError(
            f"Expected convolutions of several channels or hidden dense layers to prune {config.structure}, got none "
            f"in {model.name}. Name others in sparsify.layers, or set sparsify.sparsity to 0."
        )
    return chosen


def _shares(chosen: Sequence[Any], config: SparsifyConfig) -> dict[str, float]:
    """The sparsity of each layer, 0–1."""
    if config.structure == "2by4":
        return {layer.name: config.sparsity for layer in chosen}
    return layer_adaptive({layer.name: _magnitudes(layer.kernel.numpy(), config) for layer in chosen}, config.sparsity)


def _magnitudes(kernel: NDArray[np.float32], config: SparsifyConfig) -> NDArray[np.float32]:
    """How large the weights or, in blocks, their means are."""
    magnitudes: NDArray[np.float32] = np.abs(kernel)
    in_blocks = config.structure == "block"
    return magnitudes.reshape(-1, _NEIGHBOURS, kernel.shape[-1]).mean(axis=1) if in_blocks else magnitudes


def _usual(model: Any, candidates: Sequence[Any]) -> list[Any]:
    """What is pruned unless the recipe says otherwise.

    Neither what reads the picture nor what gives the classes, nor layers that hold next to none of the weights: those
    are the first ones, from which all others draw.
    """
    from tf_keras.layers import Dense

    dense = [layer for layer in candidates if isinstance(layer, Dense)]
    channels = model.input_shape[-1]
    inner = [one for one in candidates if (one not in dense[-1:] if one in dense else _inputs(one) > channels)]
    weights = {layer.name: math.prod(layer.kernel.shape) for layer in inner}
    least = min(_LEAST_SHARE, 1 / max(1, len(inner))) * sum(weights.values())  # of many equal layers, none is small
    return [layer for layer in inner if weights[layer.name] >= least]


def _obstacle(layer: Any, structure: str) -> str:
    """Why a layer can't be pruned in a structure; empty where it can."""
    if structure == "unstructured":
        return ""
    if _inputs(layer) % _NEIGHBOURS:
        return f"whose {_inputs(layer)} input channels are no multiple of {_NEIGHBOURS}"
    # TFMOT prunes kernels of two dimensions alone in blocks; a 1×1 convolution is a dense layer at every pixel.
    if structure == "block" and not _is_dense(layer):
        return "which is no dense layer and no 1×1 convolution of stride 1"
    return ""


def _inputs(layer: Any) -> int:
    return int(layer.kernel.shape[-2])


def _is_dense(layer: Any) -> bool:
    """Whether a layer computes what a dense layer does."""
    from tf_keras.layers import Dense

    if isinstance(layer, Dense):
        return True
    plain = layer.groups == 1 and layer.data_format == "channels_last"
    return bool(plain and layer.kernel_size == (1, 1) and layer.strides == (1, 1))


def _update_steps(steps: int) -> tuple[int, int]:
    """Every how many steps masks are updated, and the last such step.

    TFMOT updates them every 100 steps unless told otherwise, so not once in a shorter training, and at its end step
    only where that is one of those.
    """
    end = max(1, steps * 2 // 3)
    frequency = max(1, end // _UPDATES)
    return frequency, end // frequency * frequency


def _wrapped(trained: Any, structure: str, schedules: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A copy of a network that prunes in training, and its layers by the names that they had."""
    import tensorflow_model_optimization as tfmot
    import tf_keras

    # TFMOT's kernels lie (in, out): its 4×1 is 1×4 in the file.
    options = {"2by4": {"sparsity_m_by_n": (2, _NEIGHBOURS)}, "block": {"block_size": (_NEIGHBOURS, 1)}}
    layers: dict[str, Any] = {}

    def wrap(layer: Any) -> Any:
        pruned = layer.name in schedules
        in_blocks = pruned and structure == "block" and isinstance(layer, tf_keras.layers.Conv2D)
        copy = _as_dense(layer) if in_blocks else layer.__class__.from_config(layer.get_config())
        if pruned:
            copy = tfmot.sparsity.keras.prune_low_magnitude(copy, schedules[layer.name], **options.get(structure, {}))
        layers[layer.name] = copy
        return copy

    network = tf_keras.models.clone_model(trained, clone_function=wrap)
    for name, layer in layers.items():
        _copy_weights(trained.get_layer(name), layer)
    return network, layers


def _as_dense(convolution: Any) -> Any:
    """The dense layer that a 1×1 convolution is."""
    import tf_keras

    config = convolution.get_config()
    shared = ("name", "trainable", "dtype", "activation", "use_bias", "kernel_regularizer", "bias_regularizer")
    return tf_keras.layers.Dense.from_config({"units": config["filters"], **{name: config[name] for name in shared}})


def _copy_weights(source: Any, target: Any) -> None:
    """Between layers that are the same but for a wrapper, or a kernel's two dimensions of one."""
    weights = zip(source.get_weights(), target.get_weights(), strict=True)
    target.set_weights([weight.reshape(old.shape) for weight, old in weights])


def _expect_sparsity(model: Any, shares: Mapping[str, float], config: SparsifyConfig) -> None:
    for name, share in shares.items():
        kernel = model.get_layer(name).get_weights()[0]
        reached = float(np.mean(kernel == 0))
        units = kernel.size / (_NEIGHBOURS if config.structure == "block" else 1)
        # TFMOT rounds the number of weights or blocks that stay, and keeps one at least.
        if reached < share - max(_TOLERANCE, 1 / units):
            raise CompressionError(
                f"Expected {share:.0%} of the weights of {name!r} to be zero after training, got "
                f"{math.floor(reached * 1000) / 10}%. Train longer (sparsify.epochs), or leave it out of "
                "sparsify.layers."
            )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_LAYERS
    return (", ".join(names[:_SHOWN_LAYERS]) or "none") + (f" and {more} more" if more > 0 else "")


def layer_adaptive(magnitudes: Mapping[str, NDArray[np.float32]], sparsity: float) -> dict[str, float]:
    """Divides a sparsity among layers.

    Args:
        magnitudes: By layer, how large its weights or blocks of weights are; none negative.
        sparsity: Share of all of them that goes, from 0 to below 1.

    Returns:
        Each layer's own share, 0–1. Each layer keeps its largest.
    """
    scores = {name: _scores(values) for name, values in magnitudes.items()}
    ordered = np.sort(np.concatenate(list(scores.values())))
    least = ordered[min(round(sparsity * ordered.size), ordered.size - len(scores))]
    return {name: float(np.mean(found < least)) for name, found in scores.items()}


def _scores(magnitudes: NDArray[np.float32]) -> NDArray[np.float64]:
    """In growing order; the last one is 1."""
    squares = np.sort(magnitudes.ravel().astype(np.float64)) ** 2
    remaining = np.cumsum(squares[::-1])[::-1]
    return np.divide(squares, remaining, out=np.ones_like(squares), where=remaining > 0)
