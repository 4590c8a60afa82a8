"""Quantization-aware training: trains a network with the rounding of INT8 simulated in it.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018.
Channels are balanced and batch normalizations folded first, so that training sees the weights that are stored and no
statistics drift (Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018, section 3.2.2,
on freezing them).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from trainer.compression.folding import fold_batch_norms
from trainer.compression.layers import is_depthwise, kernel_name
from trainer.errors import CompressionError
from trainer.quantization.preparation.equalization import equalize
from trainer.quantization.preparation.rounding import round_to_grid
from trainer.quantization.qat.fake_quantization import Range, fake_quantized, learned_range, measure_ranges
from trainer.training.finetune import FitSettings, fit_augmented
from trainer.training.loop.fit import of_any_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import tf_keras
    from numpy.typing import NDArray

    from trainer.types import Epoch, TrainingSet


def train_quantized(
    model: tf_keras.Model,
    data: TrainingSet,
    settings: FitSettings,
    *,
    calibration_images: NDArray[np.uint8],
    masks: Mapping[str, NDArray[np.bool_]] | None = None,
) -> tuple[tf_keras.Model, list[Epoch]]:
    """Train a network to lose less accuracy when it is quantized.

    Args:
        model: Trained functional or sequential model of plain layers. It is not changed.
        data: Pictures to train and validate on.
        settings: Epochs, augmentation, seed, loss and teacher. The learning rate should be low (around 1e-4), since
            the network is trained already.
        calibration_images: Representative dataset, uint8 (N, height, width, 3) RGB, 0–255, from which the initial
            output ranges are measured.
        masks: Weights that stay zero: by layer name, bool arrays of the kernel's shape, True where a weight is zero.

    Returns:
        A network of the model's input size for `trainer.quantization.convert.convert_int8`, and the learning curve.
        Its kernels are on the converter's grid, batch normalizations are folded and outputs are rounded, so it
        computes nearly what the INT8 model will.

    Raises:
        CompressionError: The network has layers that do not support quantization-aware training.
    """
    check_trainable(model)
    folded = fold_batch_norms(equalize(model, calibration_images, contract=data.contract))
    ranges = measure_ranges(folded, calibration_images, contract=data.contract)
    network = fake_quantized(of_any_size(folded), ranges, kernels=True)
    callbacks = (_keep_zeros(network, masks), *settings.callbacks) if masks else settings.callbacks
    curve = fit_augmented(network, data, replace(settings, stage="qat", callbacks=callbacks))
    return _convertible(network, folded, ranges), curve


def check_trainable(model: tf_keras.Model) -> None:
    """Check that a network supports quantization-aware training.

    Raises:
        CompressionError: It is not a graph of layers, or it has layers that are not supported.
    """
    import tf_keras

    if not getattr(model, "_is_graph_network", False):
        raise CompressionError(
            f"Quantization-aware training needs a functional or sequential Keras model; {model.name!r} is of type "
            f"{type(model).__name__}. Rebuild it, or use quantization after training."
        )
    normalization = tf_keras.layers.BatchNormalization
    unsupported = [
        layer
        for layer in model.layers
        if isinstance(layer, tf_keras.Model)
        or (layer.weights and kernel_name(layer) is None and not isinstance(layer, normalization))
    ]
    if unsupported:
        raise CompressionError(
            f"Quantization-aware training does not support {type(unsupported[0]).__name__} {unsupported[0].name!r} in "
            f"{model.name!r}, only Conv2D, DepthwiseConv2D, Dense and BatchNormalization layers with weights. "
            "Use quantization after training."
        )


def _convertible(network: Any, folded: Any, ranges: dict[str, Range]) -> tf_keras.Model:
    """Return the trained network at fixed input size, with its kernels on the converter's grid."""
    for layer in (layer for layer in folded.layers if layer.weights):
        weights = network.get_layer(layer.name).get_weights()[: len(layer.weights)]  # a wrapper's own come last
        if kernel_name(layer) is not None:
            weights[0] = round_to_grid(weights[0], depthwise=is_depthwise(layer))
        layer.set_weights(weights)
    learned = {name: learned_range(network.get_layer(name)) for name in ranges}
    return fake_quantized(folded, learned, kernels=False)


def _keep_zeros(network: Any, masks: Mapping[str, NDArray[np.bool_]]) -> Any:
    """Keras callback that sets masked weights back to zero after each step.

    TFMOT's sparsity-preserving scheme does the same, but only with TFMOT's own quantizers.
    """
    import tensorflow as tf
    import tf_keras

    kernels = [
        (network.get_layer(name).trainable_weights[0], tf.constant(~mask, tf.float32)) for name, mask in masks.items()
    ]

    class KeepZeros(tf_keras.callbacks.Callback):  # type: ignore[misc]  # tf_keras has no types
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            for kernel, kept in kernels:
                kernel.assign(kernel * kept)

    return KeepZeros()
