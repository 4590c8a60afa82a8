"""The settings of a run: frozen dataclasses, one a stage, checked when made. A recipe is these as TOML."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from math import isfinite
from typing import Any

from trainer.config.augmentation import AugmentConfig
from trainer.config.compression import ClusterConfig, DistillConfig, PruneConfig, SparsifyConfig
from trainer.config.data import DataConfig
from trainer.config.evaluation import RobustnessConfig, ScoresConfig
from trainer.config.extension import ExtendConfig, KeepConfig
from trainer.config.loss import LossConfig
from trainer.config.photo_count import for_photos, head_for_photos
from trainer.config.quantization import GateConfig, QatConfig, QuantizeConfig
from trainer.config.require import require, shown
from trainer.config.tracking import TrackConfig
from trainer.config.training import FinetuneConfig, HeadConfig, ModelConfig
from trainer.errors import RecipeError

__all__ = [
    "AugmentConfig",
    "ClusterConfig",
    "DataConfig",
    "DistillConfig",
    "ExtendConfig",
    "FinetuneConfig",
    "GateConfig",
    "HeadConfig",
    "KeepConfig",
    "LossConfig",
    "ModelConfig",
    "PruneConfig",
    "QatConfig",
    "QuantizeConfig",
    "Recipe",
    "RobustnessConfig",
    "ScoresConfig",
    "SparsifyConfig",
    "TrackConfig",
]


@dataclass(frozen=True)
class Recipe:
    """All the settings of a run."""

    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    prune: PruneConfig = field(default_factory=PruneConfig)
    sparsify: SparsifyConfig = field(default_factory=SparsifyConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    qat: QatConfig = field(default_factory=QatConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    keep: KeepConfig = field(default_factory=KeepConfig)
    extend: ExtendConfig = field(default_factory=ExtendConfig)
    scores: ScoresConfig = field(default_factory=ScoresConfig)
    robustness: RobustnessConfig = field(default_factory=RobustnessConfig)
    track: TrackConfig = field(default_factory=TrackConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", "from 0 to below 2^32", self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Nested tables, as TOML holds them."""
        return asdict(self)

    def without_tracking(self) -> Recipe:
        """The settings that decide what a run makes: where it is followed isn't one, and is nobody else's business."""
        return replace(self, track=TrackConfig())

    def for_photos(self, count: int, *, multi_label: bool) -> Recipe:
        """With what is left open decided, as `trainer.config.photo_count` says.

        Args:
            count: Of the photos to train on.
            multi_label: Whether they may show several classes.
        """
        finetune, augment = for_photos(self.finetune, self.augment, count)
        head = head_for_photos(self.head, self.loss, count, multi_label=multi_label)
        return replace(self, head=head, finetune=finetune, augment=augment)

    def finetune_for(self, epochs: int, learning_rate: float, *, share: float = 1.0) -> FinetuneConfig:
        """The settings by which a later stage trains: those of fine-tuning, for as long and as fast as it says.

        Pictures don't grow again, and weights aren't averaged: the mean of a pruned weight over time is no zero. Layers
        that TFMOT has wrapped compute in float32.

        Args:
            epochs: Of the stage.
            learning_rate: Of the stage; 0: a share of fine-tuning's.
            share: Less than all where a stage would undo what the network knows.
        """
        usual = share * self.finetune.learning_rate
        alone: dict[str, Any] = {"start_size": 0.0, "ema": 0.0, "mixed_precision": False}
        return replace(self.finetune, epochs=epochs, learning_rate=learning_rate or usual, **alone)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Makes a recipe from nested tables; what isn't named keeps its default.

        Raises:
            RecipeError: An unknown name, a value of the wrong type or out of range.
        """
        recipe: Recipe = _updated(cls(), values, "")
        return recipe

    def updated(self, values: dict[str, Any]) -> Recipe:
        """Returns a recipe with the settings in ``values`` (nested tables) replaced."""
        recipe: Recipe = _updated(self, values, "")
        return recipe


def _updated(config: Any, values: dict[str, Any], prefix: str) -> Any:
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise RecipeError(f"Expected one of {', '.join(prefix + k for k in known)}, got {shown(prefix + name)}.")
        current = known[name]
        if hasattr(current, "__dataclass_fields__"):
            if not isinstance(value, dict):
                raise RecipeError(f"Expected {prefix + name} to be a table of settings, got {shown(value)}.")
            changes[name] = _updated(current, value, f"{prefix}{name}.")
        else:
            changes[name] = _converted(value, current, prefix + name)
    if "set" in changes:  # a ready-made set gives all the other values, but for those that are named beside it
        return type(config)(**changes)
    return replace(config, **changes)


def _converted(value: Any, current: Any, name: str) -> Any:
    kind = type(current)
    if kind is tuple and isinstance(value, (list, tuple)):
        # An empty default stands for names, any other one for numbers.
        wanted = float if current and isinstance(current[0], float) else str
        found = [_plain(v, wanted) for v in value]
    else:
        found = [_plain(value, kind)]
    if any(v is None for v in found):
        raise RecipeError(f"Expected {name} to be {kind.__name__}, for example {current!r}, got {shown(value)}.")
    return tuple(found) if kind is tuple else found[0]


def _plain(value: Any, kind: type[Any]) -> Any:
    """A value as a setting of a kind holds it, numbers in 64 bits and finite; None where it is no such value."""
    if type(value) is int and value.bit_length() > 63:
        return None
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind and (kind is not float or isfinite(value)) else None
