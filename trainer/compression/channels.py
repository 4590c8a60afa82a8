"""Finds the channels of a network that can be pruned: the layers that produce, transform and read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tf_keras

# Names of elementwise activations; softmax, for one, is not elementwise.
_ELEMENTWISE = {"linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "swish", "silu", "mish"}
_ELEMENTWISE |= {"sigmoid", "hard_sigmoid", "tanh", "softplus", "softsign", "exponential"}


@dataclass(frozen=True)
class ChannelGroup:
    """Layers that have to lose the same channels, by name.

    Attributes:
        producer: Convolution that produces the channels; its name identifies the group.
        batch_norms: Batch normalizations after it, in data order.
        depthwise: Depthwise convolutions after it, in data order.
        consumers: Convolutions and dense layers that read and mix the channels.
        width: Number of channels.
    """

    producer: str
    batch_norms: tuple[str, ...]
    depthwise: tuple[str, ...]
    consumers: tuple[str, ...]
    width: int


def channel_groups(model: tf_keras.Model) -> tuple[ChannelGroup, ...]:
    """Find all groups of channels that can be pruned without affecting the rest of the network.

    The channels of each convolution are followed through layers that keep them apart, such as batch normalization,
    depthwise convolution or pooling, to the convolutions and dense layers that read them. If they reach anything else
    (a sum with other channels, squeeze-and-excite, an operator lambda, the model's output), the structure of the
    network depends on their number, and they form no group.

    Args:
        model: Functional or sequential model of plain layers, channels last.
    """
    found = (_traced(model, layer) for layer in model.layers if _mixes_channels(layer))
    return tuple(group for group in found if group is not None)


def followers(layer: Any) -> list[Any]:
    """Return the layers that read a layer's output."""
    return [node.layer for node in layer.outbound_nodes]


def _traced(model: Any, producer: Any) -> ChannelGroup | None:
    """Return the group of a layer's output channels, or None if they cannot be pruned."""
    from tf_keras.layers import BatchNormalization, Conv2D, DepthwiseConv2D

    if type(producer) is not Conv2D or not _is_elementwise(producer):
        return None
    passed, consumers = [producer], []
    for layer in passed:  # grows while it is iterated over
        if layer.name in model.output_names:
            return None
        for follower in followers(layer):
            if _mixes_channels(follower):
                consumers.append(follower.name)
            elif _keeps_channels_apart(follower):
                passed.append(follower)
            else:
                return None
    return ChannelGroup(
        producer.name,
        tuple(layer.name for layer in passed if type(layer) is BatchNormalization),
        tuple(layer.name for layer in passed if type(layer) is DepthwiseConv2D),
        tuple(consumers),
        producer.filters,
    )


def _mixes_channels(layer: Any) -> bool:
    """Whether each output channel of a layer depends on all input channels."""
    from tf_keras.layers import Conv2D, Dense

    # Exact types: a transposed convolution is also a Conv2D.
    return _is_plain(layer) and (type(layer) is Dense or (type(layer) is Conv2D and layer.groups == 1))


def _keeps_channels_apart(layer: Any) -> bool:
    """Whether each output channel of a layer depends only on the input channel of the same index."""
    from tf_keras import layers

    always = (
        layers.ReLU,
        layers.LeakyReLU,
        layers.ELU,
        layers.Dropout,
        layers.SpatialDropout2D,
        layers.ZeroPadding2D,
        layers.MaxPooling2D,
        layers.AveragePooling2D,
        layers.GlobalMaxPooling2D,
        layers.GlobalAveragePooling2D,
    )
    if not _is_plain(layer):
        return False
    if type(layer) is layers.BatchNormalization:
        return list(layer.axis) == [len(layer.input_shape) - 1]
    if type(layer) is layers.DepthwiseConv2D:
        return layer.depth_multiplier == 1 and _is_elementwise(layer)
    if type(layer) is layers.Flatten:
        return set(layer.input_shape[1:-1]) <= {1}
    return type(layer) in always or (type(layer) is layers.Activation and _is_elementwise(layer))


def _is_plain(layer: Any) -> bool:
    """Whether a layer is called once, with channels last."""
    return len(layer.inbound_nodes) == 1 and getattr(layer, "data_format", "channels_last") == "channels_last"


def _is_elementwise(layer: Any) -> bool:
    return getattr(layer.activation, "__name__", "") in _ELEMENTWISE
