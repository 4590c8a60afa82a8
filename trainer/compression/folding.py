"""Folds batch normalizations into the layers before them, as the converter does.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018,
section 3.2. Training the folded network trains exactly the weights that are stored as INT8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.layers import is_depthwise, kernel_name

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray


def fold_batch_norms(model: tf_keras.Model) -> tf_keras.Model:
    """Return an equivalent copy of a model without the batch normalizations that can be folded.

    A batch normalization is folded if it is the only reader of a Conv2D, DepthwiseConv2D or Dense layer without
    activation. That layer keeps its name; its kernel takes over the scale and its bias the shift.

    Args:
        model: Functional or sequential model of plain layers. It is not changed.
    """
    import tf_keras

    model = tf_keras.Model(
        model.input, model.output, name=model.name
    )  # a sequential model's configuration has no nodes
    folded = {layer.name: follower for layer in model.layers if (follower := _foldable_after(layer)) is not None}
    gone = {follower.name: name for name, follower in folded.items()}
    config = model.get_config()
    config["layers"] = [_rewired(entry, gone) for entry in config["layers"] if entry["name"] not in gone]
    config["output_layers"] = _renamed(config["output_layers"], gone)
    for entry in config["layers"]:
        if entry["name"] in folded:
            entry["config"]["use_bias"] = True
    copy = tf_keras.Model.from_config(config)
    for layer in copy.layers:
        source = model.get_layer(layer.name)
        layer.set_weights(_folded_weights(source, folded[layer.name]) if layer.name in folded else source.get_weights())
    return copy


def _foldable_after(layer: Any) -> Any:
    """Return the batch normalization that can be folded into a layer, or None."""
    import tf_keras

    followers = [node.layer for node in layer.outbound_nodes]
    if kernel_name(layer) is None or len(layer.inbound_nodes) != 1 or len(followers) != 1:
        return None
    follower = followers[0]
    linear = layer.activation is tf_keras.activations.linear
    kind = tf_keras.layers.BatchNormalization
    over_channels = isinstance(follower, kind) and list(follower.axis) == [layer.output.shape.rank - 1]
    return follower if linear and over_channels and len(follower.inbound_nodes) == 1 else None


def _folded_weights(layer: Any, batch_norm: Any) -> list[NDArray[np.float32]]:
    """Kernel and bias with the batch normalization folded in."""
    mean, variance = batch_norm.moving_mean.numpy(), batch_norm.moving_variance.numpy()
    gamma = batch_norm.gamma.numpy() if batch_norm.scale else 1.0
    beta = batch_norm.beta.numpy() if batch_norm.center else 0.0
    factors = gamma / np.sqrt(variance + batch_norm.epsilon)
    kernel, *rest = layer.get_weights()
    bias = rest[0] if rest else 0.0
    # A depthwise kernel is (height, width, channels, multiplier); its output channels are the last two axes.
    channels = kernel.shape[2:] if is_depthwise(layer) else kernel.shape[-1:]
    return [kernel * factors.reshape(channels), beta + (bias - mean) * factors]


def _rewired(entry: dict[str, Any], gone: dict[str, str]) -> dict[str, Any]:
    return {**entry, "inbound_nodes": _renamed(entry["inbound_nodes"], gone)}


def _renamed(nodes: Any, gone: dict[str, str]) -> Any:
    """Nodes of a model's configuration, with each folded layer replaced by the one that it was folded into."""
    if isinstance(nodes, (list, tuple)):
        return [_renamed(node, gone) for node in nodes]
    if isinstance(nodes, dict):
        return {name: _renamed(node, gone) for name, node in nodes.items()}
    return gone.get(nodes, nodes) if isinstance(nodes, str) else nodes
