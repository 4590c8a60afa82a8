"""Channel pruning: rebuilds a network with fewer channels, which is smaller and faster on every device.

Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019. Channels are removed in chunks that leave
widths in multiples of 8, the unit that INT8 kernels on Arm and x86 process.
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
    """Return a smaller network that keeps the most important channels and still has to be fine-tuned.

    Args:
        model: Trained functional model of fixed input size that outputs scores after softmax. It is not changed.
        train: Training pictures at the model's input size.
        contract: Mean and standard deviation of the model's input.
        config: Share of the multiply-adds to keep, and how channels are ranked.

    Raises:
        CompressionError: The share cannot be reached, or the model has no channels to prune.
    """
    check_budget(model, config.keep_macs)
    groups = channel_groups(model)
    importance = channel_importance(model, groups, train, contract=contract, kind=config.importance)
    return rebuild(model, plan_widths(model, importance, config.keep_macs))


def least_share(model: tf_keras.Model, multiple: int = 8) -> float:
    """Smallest share of its multiply-adds that a network can be pruned to, 0–1; 1 if it has no channels to prune.

    Args:
        model: Functional model of fixed input size; its weights do not matter.
        multiple: Smallest width of a layer, in channels.
    """
    groups = channel_groups(model)
    costs = _costs(model, groups)
    least = {group.producer: min(group.width, multiple) for group in groups}
    return _macs(costs, least) / _macs(costs, _widths(groups))


def check_budget(model: tf_keras.Model, keep_macs: float, multiple: int = 8) -> None:
    """Check, before any training, that a network can be pruned to a share of its multiply-adds.

    Args:
        model: Model as for `least_share`.
        keep_macs: Share of the multiply-adds to keep, 0–1.
        multiple: Smallest width of a layer, in channels.

    Raises:
        CompressionError: The share is too small for this network, or it has no channels to prune.
    """
    least = least_share(model, multiple)
    if least == 1.0:
        raise CompressionError(
            f"{model.name} has no convolution whose channels can be pruned. "
            "Use another backbone, or set prune.keep_macs to 1 to turn pruning off."
        )
    if keep_macs < least:
        raise CompressionError(
            f"prune.keep_macs is {keep_macs}, but {model.name} needs at least "
            f"{math.ceil(least * 1000) / 1000}. Raise it, or use a smaller backbone or input size."
        )


def plan_widths(
    model: tf_keras.Model, importance: Mapping[str, NDArray[np.float32]], keep_macs: float, multiple: int = 8
) -> dict[str, tuple[int, ...]]:
    """Choose the channels to keep.

    The chunk of channels with the least importance per multiply-add saved is removed, until enough is saved. A chunk
    brings its group down to the next lower multiple of 8. It saves multiply-adds in the layer that produces the
    channels, in those that read them and in the depthwise ones between, at their current widths.

    Args:
        model: Functional model of fixed input size.
        importance: Importance of each channel (`channel_importance`): float32 (width,) by the producer's name.
        keep_macs: Share of the multiply-adds to keep, 0–1; the last chunk may go below it.
        multiple: Divisor of the widths of all layers that lose channels.

    Returns:
        Ascending indices of the channels to keep in each group, by the producer's name.

    Raises:
        CompressionError: The share cannot be reached, or the model has no channels to prune.
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
        """Importance lost per multiply-add saved."""
        gone, going = full[name] - widths[name], full[name] - smaller
        return float(lost[name][going] - lost[name][gone]) / saving(name, smaller)

    whole = total = _macs(costs, widths)
    while total / whole > keep_macs:  # the same quotient as in `least_share`
        chunks = {name: (width - 1) // multiple * multiple for name, width in widths.items() if width > multiple}
        cheapest = min(chunks, key=lambda name: price(name, chunks[name]))
        total -= saving(cheapest, chunks[cheapest])
        widths[cheapest] = chunks[cheapest]
    return {name: tuple(sorted(order[name][full[name] - width :].tolist())) for name, width in widths.items()}


def rebuild(model: tf_keras.Model, kept: Mapping[str, Sequence[int]]) -> tf_keras.Model:
    """Return a network without the pruned channels; it computes what the given one would if nothing read them.

    Args:
        model: Functional model. It is not changed.
        kept: Indices of the channels to keep in every group, by the producer's name.
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
        if layer.name in made:  # kernel, bias (out,) and all weights of a batch normalization
            weights = [np.take(weight, made[layer.name], axis=-1) for weight in weights]
        if layer.name in filtered:  # kernel (height, width, channels, 1), bias (channels,)
            weights = [np.take(weight, filtered[layer.name], axis=max(weight.ndim - 2, 0)) for weight in weights]
        layer.set_weights(weights)
    return smaller


@dataclass(frozen=True)
class _Cost:
    """A layer's multiply-adds: ``unit`` × the widths of the groups whose channels it produces, filters or reads."""

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
