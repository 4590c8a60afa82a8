"""The settings of a run: frozen dataclasses, one per table of a recipe, validated when created."""

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


_TYPE_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a string", tuple: "a list"}


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run, one attribute per table of its TOML file."""

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
        require(0 <= self.seed < 2**32, "seed", "at least 0 and below 2^32", self.seed)

    def to_dict(self) -> dict[str, Any]:
        """Return nested tables, ready to be written as TOML."""
        return asdict(self)

    def without_tracking(self) -> Recipe:
        """Return the settings without tracking, which doesn't affect the result and may hold private addresses."""
        return replace(self, track=TrackConfig())

    def for_photos(self, count: int, *, multi_label: bool) -> Recipe:
        """Return a recipe with open settings decided by the number of photos; see `trainer.config.photo_count`.

        Args:
            count: Number of training photos.
            multi_label: Whether a photo can have several labels.
        """
        finetune, augment = for_photos(self.finetune, self.augment, count)
        head = head_for_photos(self.head, self.loss, count, multi_label=multi_label)
        return replace(self, head=head, finetune=finetune, augment=augment)

    def finetune_for(self, epochs: int, learning_rate: float, *, share: float = 1.0) -> FinetuneConfig:
        """Return fine-tuning settings for a later stage, with its own epochs and learning rate.

        Progressive resizing is off. So are weight averaging, because the average of a pruned weight isn't zero, and
        mixed precision, because layers wrapped by TFMOT compute in float32.

        Args:
            epochs: Epochs of the stage.
            learning_rate: Peak learning rate of the stage; 0: ``share`` times fine-tuning's.
            share: Factor for fine-tuning's learning rate; less than 1 for stages that could undo earlier training.
        """
        usual = share * self.finetune.learning_rate
        alone: dict[str, Any] = {"start_size": 0.0, "ema": 0.0, "mixed_precision": False}
        return replace(self.finetune, epochs=epochs, learning_rate=learning_rate or usual, **alone)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Return a recipe from nested tables; settings that aren't named keep their defaults.

        Raises:
            RecipeError: A setting is unknown, has the wrong type or is out of range.
        """
        recipe: Recipe = _updated(cls(), values, "")
        return recipe

    def updated(self, values: dict[str, Any]) -> Recipe:
        """Return a recipe with the settings in ``values`` (nested tables) replaced."""
        recipe: Recipe = _updated(self, values, "")
        return recipe


def _updated(config: Any, values: dict[str, Any], prefix: str) -> Any:
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    changes: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise RecipeError(_unknown(prefix + name, [prefix + key for key in known]))
        current = known[name]
        if hasattr(current, "__dataclass_fields__"):
            if not isinstance(value, dict):
                raise RecipeError(f"{prefix + name} must be a table of settings, got {shown(value)}.")
            changes[name] = _updated(current, value, f"{prefix}{name}.")
        else:
            changes[name] = _converted(value, current, prefix + name)
    if "set" in changes:  # a ready-made set replaces all values that aren't named along with it
        return type(config)(**changes)
    return replace(config, **changes)


def _unknown(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    advice = f"Did you mean {near[0]}?" if near else f"Use one of {', '.join(known)}."
    return f"Unknown setting {shown(name)}. {advice}"


def _converted(value: Any, current: Any, name: str) -> Any:
    kind = type(current)
    if kind is tuple and isinstance(value, (list, tuple)):
        # A list is of strings unless its default holds numbers.
        item = float if current and isinstance(current[0], float) else str
        found = [_plain(v, item) for v in value]
    else:
        found = [_plain(value, kind)]
    if any(v is None for v in found):
        example = f", such as {list(current)}" if kind is tuple and current else ""
        raise RecipeError(f"{name} must be {_TYPE_NAMES[kind]}{example}, got {shown(value)}.")
    return tuple(found) if kind is tuple else found[0]


def _plain(value: Any, kind: type[Any]) -> Any:
    """Convert a value to a setting's type; None if it doesn't fit, isn't finite or needs more than 64 bits."""
    if type(value) is int and value.bit_length() > 63:
        return None
    if kind is float and type(value) is int:
        return float(value)
    return value if type(value) is kind and (kind is not float or isfinite(value)) else None
