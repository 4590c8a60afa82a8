"""Channel pruning: a network with fewer channels, rebuilt, which is smaller and faster on every device.

Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019. Channels go in chunks that leave widths in
multiples of 8, which is what the kernels of Arm and x86 work in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.compression.channels import ChannelGroup, channel_groups
from trainer.compression.cost import layer_macs
from trainer.compression.importance import channel_importance
from trainer.errors import CompressionError

if TYPE_CHECKING:
    import tf_keras
    from numpy.typing import NDArray

    from edge_runtime.types import InputContract
    from trainer.config import PruneConfig
    from trainer.types import Pixels


def prune(model: tf_keras.Model, train: Pixels, *, contract: InputContract, config: PruneConfig) -> tf_keras.Model:
    """Returns a smaller network with the weights of the channels that matter most; it is to be fine-tuned.

    Args:
        model: A trained functional model of fixed input size, which gives scores after softmax. It is not changed.
        train: Training pictures at its input size.
        contract: Its mean and std.
        config: Share of the multiply-adds to keep, and how channels are ranked.

    Raises:
        CompressionError: The share can't be met, or there is nothing to prune.
    """
    check_budget(model, config.keep_macs)
    groups = channel_groups(model)
    importance = channel_importance(model, groups, train, contract=contract, kind=config.importance)
    return rebuild(model, plan_widths(model, importance, config.keep_macs))


def least_share(model: tf_keras.Model, multiple: int = 8) -> float:
    """The least share of its multiply-adds that a network can be pruned to; 1 where there is nothing to prune.

    Args:
        model: A functional model of fixed input size; its weights play no part.
        multiple: Least width of a layer.
    """
    groups = channel_groups(model)
    costs = _costs(model, groups)
    least = {group.producer: min(group.width, multiple) for group in groups}
    return _macs(costs, least) / _macs(costs, _widths(groups))


def check_budget(model: tf_keras.Model, keep_macs: float, multiple: int = 8) -> None:
    """Checks, before any training, that a network can be pruned so far.

    Args:
        model: As for `least_share`.
        keep_macs: Share of the multiply-adds to keep.
        multiple: Least width of a layer.

    Raises:
        CompressionError: It can't; the message says what the least is, or that there is nothing to prune.
    """
    least = least_share(model, multiple)
    if least == 1.0:
        raise CompressionError(
            f"Expected convolutions whose channels can be taken out, got none in {model.name}. "
            "Prune another backbone, or set prune.keep_macs to 1."
        )
    if keep_macs < least:
        raise CompressionError(
            f"Expected prune.keep_macs of at least {math.ceil(least * 1000) / 1000} for {model.name}, got {keep_macs}. "
            "Keep more, or take a smaller backbone or input size."
        )


def plan_widths(
    model: tf_keras.Model, importance: Mapping[str, NDArray[np.float32]], keep_macs: float, multiple: int = 8
) -> dict[str, tuple[int, ...]]:
    """Chooses the channels to keep.

    Again and again, the chunk of channels goes that matters least for each multiply-add saved. A chunk is what brings
    its group down to the next lower multiple of 8, and saves in the layer that makes the channels, in those that read
    them and in the depthwise ones between, as wide as they all are by then.

    Args:
        model: A functional model of fixed input size.
        importance: float32 (width,) of each group, by the producer's name (`channel_importance`).
        keep_macs: Share of the multiply-adds to keep; the last chunk may take it below.
        multiple: Widths of the layers that lose channels are multiples of it.

    Returns:
        Indices of the channels to keep, ascending, of each group, by the producer's name.

    Raises:
        CompressionError: The share can't be met, or there is nothing to prune.
    """
    check_budget(model, keep_macs, multiple)
    groups = channel_groups(model)
    costs, widths, full = _costs(model, groups), _widths(groups), _widths(groups)
    costs_of = {name: [cost for cost in costs if name in cost.groups] for name in widths}
    order = {name: np.argsort(importance[name], kind="stable") for name in widths}
    # lost[name][n]: importance of the n weakest channels together
    lost = {name: np.append(0.0, np.cumsum(importance[name][order[name]], dtype=np.float64)) for name in widths}

    def saving(name: str, smaller: int) -> int:
        return _macs(costs_of[name], widths) - _macs(costs_of[name], {**widths, name: smaller})

    def price(name: str, smaller: int) -> float:
        """Importance lost for each multiply-add saved."""
        gone, going = full[name] - widths[name], full[name] - smaller
        return float(lost[name][going] - lost[name][gone]) / saving(name, smaller)

    whole = total = _macs(costs, widths)
    while total / whole > keep_macs:  # the very quotient that `least_share` gives
        chunks = {name: (width - 1) // multiple * multiple for name, width in widths.items() if width > multiple}
        cheapest = min(chunks, key=lambda name: price(name, chunks[name]))
        total -= saving(cheapest, chunks[cheapest])
        widths[cheapest] = chunks[cheapest]
    return {name: tuple(sorted(order[name][full[name] - width :].tolist())) for name, width in widths.items()}


def rebuild(model: tf_keras.Model, kept: Mapping[str, Sequence[int]]) -> tf_keras.Model:
    """Returns a network of fewer channels that computes what the given one would if nobody read the others.

    Args:
        model: A functional model. It is not changed.
        kept: Indices of the channels to keep, of every group, by the producer's name.
    """
    import tf_keras

    groups = channel_groups(model)
    made = {name: kept[group.producer] for group in groups for name in (group.producer, *group.batch_norms)}
    filtered = {name: kept[group.producer] for group in groups for name in group.depthwise}
    read = {name: kept[group.producer] for group in groups for name in group.consumers}

    def resized(layer: Any) -> Any:
        config = layer.get_config()
        if "filters" in config and layer.name in made:
            config["filters"] = len(made[layer.name])
        return layer.__class__.from_config(config)

    smaller = tf_keras.models.clone_model(model, clone_function=resized)
    for layer in smaller.layers:
        weights = model.get_layer(layer.name).get_weights()
        if layer.name in read:  # kernel (…, in, out)
            weights[0] = np.take(weights[0], read[layer.name], axis=-2)
        if layer.name in made:  # kernel, bias (out,) and all that batch normalization has
            weights = [np.take(weight, made[layer.name], axis=-1) for weight in weights]
        if layer.name in filtered:  # kernel (height, width, channels, 1), bias (channels,)
            weights = [np.take(weight, filtered[layer.name], axis=max(weight.ndim - 2, 0)) for weight in weights]
        layer.set_weights(weights)
    return smaller


@dataclass(frozen=True)
class _Cost:
    """A layer's multiply-adds: ``unit`` times the widths of the groups whose channels it makes, filters or reads."""

    unit: int
    groups: tuple[str, ...]


def _costs(model: Any, groups: Sequence[ChannelGroup]) -> list[_Cost]:
    found = []
    for name, macs in layer_macs(model).items():
        mine = [group for group in groups if name in (group.producer, *group.depthwise, *group.consumers)]
        unit = macs // math.prod(group.width for group in mine)
        found.append(_Cost(unit, tuple(group.producer for group in mine)))
    return found


def _macs(costs: Sequence[_Cost], widths: Mapping[str, int]) -> int:
    return sum(cost.unit * math.prod(widths[group] for group in cost.groups) for cost in costs)


def _widths(groups: Sequence[ChannelGroup]) -> dict[str, int]:
    return {group.producer: group.width for group in groups}
