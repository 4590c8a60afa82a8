"""Quantization-aware training: the network learns with the rounding of INT8 in it.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018.
Batch normalizations are folded beforehand, after the channels have been balanced, so that training sees the weights
that are stored, and no statistics drift (Krishnamoorthi, "Quantizing deep convolutional networks for efficient
inference", 2018, section 3.2.2, on freezing them).
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
    """Checks that `train_quantized` can train a network.

    Raises:
        CompressionError: It can't.
    """
    import tf_keras

    if not getattr(model, "_is_graph_network", False):
        raise CompressionError(
            f"Expected a functional or sequential Keras model for quantization-aware training, got {model.name!r} of "
            f"type {type(model).__name__}. Use quantization after training."
        )
    normalization = tf_keras.layers.BatchNormalization
    strangers = [
        layer
        for layer in model.layers
        if isinstance(layer, tf_keras.Model)
        or (layer.weights and kernel_name(layer) is None and not isinstance(layer, normalization))
    ]
    if strangers:
        raise CompressionError(
            "Expected weights in Conv2D, DepthwiseConv2D, Dense and BatchNormalization layers only for "
            f"quantization-aware training, got {type(strangers[0]).__name__} {strangers[0].name!r} in {model.name!r}. "
            "Use quantization after training."
        )


def _convertible(network: Any, folded: Any, ranges: dict[str, Range]) -> tf_keras.Model:
    """What was learned, in a network of fixed size whose kernels lie on the grid."""
    for layer in (layer for layer in folded.layers if layer.weights):
        weights = network.get_layer(layer.name).get_weights()[: len(layer.weights)]  # a wrapper's own come after
        if kernel_name(layer) is not None:
            weights[0] = round_to_grid(weights[0], depthwise=is_depthwise(layer))
        layer.set_weights(weights)
    learned = {name: learned_range(network.get_layer(name)) for name in ranges}
    return fake_quantized(folded, learned, kernels=False)


def _keep_zeros(network: Any, masks: Mapping[str, NDArray[np.bool_]]) -> Any:
    """A Keras callback that sets masked weights back to zero after each step.

    As TFMOT's sparsity-preserving scheme does, which comes with TFMOT's own quantizers only.
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
