"""Layers with a kernel, and copies of networks that keep their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import tf_keras


def kernel_name(layer: Any) -> str | None:
    """Attribute that holds the kernel of a Conv2D, DepthwiseConv2D or Dense layer; None for any other layer."""
    from tf_keras.layers import Conv2D, Dense, DepthwiseConv2D

    # Exact types: Conv2DTranspose inherits from Conv2D, but its kernel has another layout.
    return {Conv2D: "kernel", Dense: "kernel", DepthwiseConv2D: "depthwise_kernel"}.get(type(layer))


def is_depthwise(layer: Any) -> bool:
    """Whether the layer's kernel has the shape (height, width, channels, multiplier)."""
    return kernel_name(layer) == "depthwise_kernel"


def input_channels(layer: Any) -> int:
    """Number of input channels of a Conv2D or Dense layer's kernel."""
    return int(layer.kernel.shape[-2])


def copy_network(network: tf_keras.Model) -> tf_keras.Model:
    """Return a copy of a network with the same layers and weights."""
    import tf_keras

    copy = tf_keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def copy_layers(network: tf_keras.Model, make: Callable[[Any], Any]) -> tuple[tf_keras.Model, dict[str, Any]]:
    """Rebuild a network from other layers, such as wrappers around the original ones.

    Args:
        network: Functional or sequential model. It is not changed.
        make: Called with each layer; returns the layer that takes its place.

    Returns:
        The new network, and its layers by the names of the original ones.
    """
    import tf_keras

    layers: dict[str, Any] = {}

    def remember(layer: Any) -> Any:
        layers[layer.name] = make(layer)
        return layers[layer.name]

    return tf_keras.models.clone_model(network, clone_function=remember), layers
