"""The settings of a run: frozen dataclasses, one a stage, checked when made. A recipe is these as TOML."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from trainer.errors import RecipeError


def _require(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise RecipeError(f"Expected {name} to be {expected}, got {got!r}.")


@dataclass(frozen=True)
class DataConfig:
    """How the photos are split and turned into pixels.

    Attributes:
        val_fraction: Share of the photos that decides (early stopping, the gate); 0: 0.2, or 0.15 of the training
            photos where a test split is given.
        test_fraction: Share that is measured once; 0: 0.1, or 0.2 under 1,000 photos.
        max_unreadable: Share of files that may be undecodable before the run stops.
        crop: ``"center"`` or ``"stretch"``.
        group: What is never parted by a split that is made here: ``"exif_time"`` (bursts, by EXIF time), or a regular
            expression with one group, searched for in each photo's path, as ``"/(session\\d+)_"``; empty: what the
            list's column of groups says, if there is one.
    """

    val_fraction: float = 0.0
    test_fraction: float = 0.0
    max_unreadable: float = 0.05
    crop: Literal["center", "stretch"] = "stretch"
    group: str = ""

    def __post_init__(self) -> None:
        for name in ("val_fraction", "test_fraction", "max_unreadable"):
            _require(0 <= getattr(self, name) < 0.9, f"data.{name}", "from 0 to below 0.9", getattr(self, name))
        _require(self.crop in ("center", "stretch"), "data.crop", "center or stretch", self.crop)
        if self.group not in ("", "exif_time"):
            kind = "exif_time or a regular expression with one group in parentheses"
            try:
                groups = re.compile(self.group).groups
            except re.error as error:
                raise RecipeError(f"Expected data.group to be {kind}, got {self.group!r} ({error}).") from error
            _require(groups == 1, "data.group", kind, self.group)


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        backbone: A name from the table in `trainer.backbones`.
        input_size: Height and width in pixels; 0: the backbone's own.
        weights: ``"imagenet"`` (an error when they can't be had), ``"auto"`` (ImageNet or else none),
            ``"none"`` or a weights file.
        dropout: Before the classifier.
    """

    backbone: str = "mobilenet_v2_0.35"
    input_size: int = 0
    weights: str = "imagenet"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        _require(
            self.input_size == 0 or 32 <= self.input_size <= 512, "model.input_size", "0 or 32 to 512", self.input_size
        )
        _require(0 <= self.dropout < 1, "model.dropout", "from 0 to below 1", self.dropout)


@dataclass(frozen=True)
class HeadConfig:
    """Training of the classifier on the frozen backbone's features, which are computed once."""

    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    patience: int = 10

    def __post_init__(self) -> None:
        _require(self.epochs >= 0, "head.epochs", "at least 0", self.epochs)
        _require(self.batch_size >= 1, "head.batch_size", "at least 1", self.batch_size)
        _require(self.learning_rate > 0, "head.learning_rate", "greater than 0", self.learning_rate)
        _require(self.patience >= 1, "head.patience", "at least 1", self.patience)


@dataclass(frozen=True)
class FinetuneConfig:
    """Training of the network itself, from its upper part to all of it.

    Attributes:
        epochs: 0 skips the stage.
        unfreeze: Share of the backbone's layers, from the top, that is trained; from scratch it is all of them.
        train_size: Share of the input size at which it is trained (rounded to a multiple of 32 pixels). With pictures
            zoomed into by as much (``augment.scale``), things keep the size that they have in whole pictures at the
            full input size (Touvron et al., "FixRes", 2019), and an epoch takes half the time.
        learning_rate: The peak, after the warm-up.
        warmup_epochs: Linear warm-up, followed by cosine decay (Loshchilov & Hutter, 2017).
        label_smoothing: Of the cross-entropy (Szegedy et al., 2016).
        weight_decay: Decoupled (AdamW, Loshchilov & Hutter, 2019).
        patience: Epochs without a lower validation loss before stopping.
    """

    epochs: int = 32
    batch_size: int = 32
    unfreeze: float = 1.0
    train_size: float = 0.7
    learning_rate: float = 1.5e-3
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    weight_decay: float = 1e-4
    patience: int = 15

    def __post_init__(self) -> None:
        _require(self.epochs >= 0, "finetune.epochs", "at least 0", self.epochs)
        _require(self.batch_size >= 1, "finetune.batch_size", "at least 1", self.batch_size)
        for name in ("unfreeze", "train_size"):
            _require(0 < getattr(self, name) <= 1, f"finetune.{name}", "above 0, at most 1", getattr(self, name))
        _require(self.learning_rate > 0, "finetune.learning_rate", "greater than 0", self.learning_rate)
        _require(self.warmup_epochs >= 0, "finetune.warmup_epochs", "at least 0", self.warmup_epochs)
        _require(0 <= self.label_smoothing < 1, "finetune.label_smoothing", "from 0 to below 1", self.label_smoothing)
        _require(self.weight_decay >= 0, "finetune.weight_decay", "at least 0", self.weight_decay)
        _require(self.patience >= 1, "finetune.patience", "at least 1", self.patience)


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to the training pictures, on the cached pixels.

    Attributes:
        rotation: Degrees, to either side.
        shift: Share of the side, in either direction.
        scale: Lower and upper zoom; a window that is smaller than the picture lies anywhere inside it.
        flip: Left and right swapped in half of the pictures; not for digits or text.
        brightness: Share of the range, to either side.
        contrast: Factor 1 ± this.
        saturation: Factor 1 ± this.
    """

    rotation: float = 15.0
    shift: float = 0.02
    scale: tuple[float, float] = (1.0, 2.2)
    flip: bool = True
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        _require(0 <= self.rotation <= 180, "augment.rotation", "from 0 to 180", self.rotation)
        _require(0 <= self.shift < 1, "augment.shift", "from 0 to below 1", self.shift)
        _require(
            len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1], "augment.scale", "[lower, upper]", self.scale
        )
        for name in ("brightness", "contrast", "saturation"):
            _require(0 <= getattr(self, name) < 1, f"augment.{name}", "from 0 to below 1", getattr(self, name))


@dataclass(frozen=True)
class DistillConfig:
    """Training of the network by a teacher's answers (Hinton et al., 2015).

    Attributes:
        teacher: A backbone, which is trained in the same run, or the folder of a finished run, or a Keras model's
            file; empty: none, and the stage is skipped.
        teacher_input_size: Of a backbone, height and width in pixels; 0: the backbone's own.
        teacher_epochs: Of a backbone's fine-tuning; 0: as ``finetune.epochs``.
        epochs: Of the student with the teacher, after its training without.
        learning_rate: The peak; 0: as ``finetune.learning_rate``.
        temperature: Divides both logits in the soft loss.
        weight: Share of the soft loss, from 0 (labels alone) to 1 (answers alone).
        flip: The teacher's answers to a picture and to its mirror image are averaged.
        feature_weight: Of the last feature map's distance, added to the loss; 0: not learned.
    """

    teacher: str = ""
    teacher_input_size: int = 0
    teacher_epochs: int = 0
    epochs: int = 24
    learning_rate: float = 0.0
    temperature: float = 2.0
    weight: float = 0.8
    flip: bool = False
    feature_weight: float = 0.0

    def __post_init__(self) -> None:
        size = self.teacher_input_size
        _require(size == 0 or 32 <= size <= 512, "distill.teacher_input_size", "0 or 32 to 512", size)
        _require(self.teacher_epochs >= 0, "distill.teacher_epochs", "at least 0", self.teacher_epochs)
        _require(self.epochs >= 1, "distill.epochs", "at least 1 (no teacher: no distillation)", self.epochs)
        _require(self.learning_rate >= 0, "distill.learning_rate", "at least 0", self.learning_rate)
        _require(self.temperature > 0, "distill.temperature", "greater than 0", self.temperature)
        _require(0 <= self.weight <= 1, "distill.weight", "from 0 to 1", self.weight)
        _require(self.feature_weight >= 0, "distill.feature_weight", "at least 0", self.feature_weight)


@dataclass(frozen=True)
class PruneConfig:
    """Channel pruning: a smaller network, faster everywhere.

    Attributes:
        keep_macs: Share of the multiply-adds that is kept; 1: all, and the stage is skipped.
        importance: Ranks channels by first-order Taylor expansion (Molchanov et al., 2019) or by batch
            normalization's scale (Liu et al., "Network Slimming", 2017).
        epochs: Of the training afterwards, by the answers of the unpruned network.
        learning_rate: The peak; 0: as ``finetune.learning_rate``.
    """

    keep_macs: float = 1.0
    importance: Literal["taylor", "batch_norm"] = "taylor"
    epochs: int = 16
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _require(0 < self.keep_macs <= 1, "prune.keep_macs", "above 0, at most 1", self.keep_macs)
        kinds = ("taylor", "batch_norm")
        _require(self.importance in kinds, "prune.importance", " or ".join(kinds), self.importance)
        _require(self.epochs >= 0, "prune.epochs", "at least 0", self.epochs)
        _require(self.learning_rate >= 0, "prune.learning_rate", "at least 0", self.learning_rate)


@dataclass(frozen=True)
class SparsifyConfig:
    """Magnitude pruning with TFMOT (Zhu & Gupta, 2017): a smaller download, not a faster network.

    Attributes:
        sparsity: Share of the weights that become zero; 0: none, and the stage is skipped.
        structure: ``"unstructured"``, ``"2by4"`` (two of four neighbours, so half of all) or ``"block"`` (1×4 blocks).
        layers: Patterns of layer names (``fnmatch``), of which one has to fit; empty: every convolution with a
            kernel of several channels and every dense layer but the last.
        epochs: Sparsity grows in the first two thirds of them; ``"2by4"`` is there from the first step on.
        learning_rate: The peak; 0: as ``finetune.learning_rate``.
    """

    sparsity: float = 0.0
    structure: Literal["unstructured", "2by4", "block"] = "unstructured"
    layers: tuple[str, ...] = ()
    epochs: int = 12
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        _require(0 <= self.sparsity < 1, "sparsify.sparsity", "from 0 to below 1", self.sparsity)
        kinds = ("unstructured", "2by4", "block")
        _require(self.structure in kinds, "sparsify.structure", ", ".join(kinds), self.structure)
        _require(
            self.structure != "2by4" or self.sparsity in (0, 0.5), "sparsify.sparsity", "0.5 for 2by4", self.sparsity
        )
        _require(self.epochs >= 1, "sparsify.epochs", "at least 1", self.epochs)
        _require(self.learning_rate >= 0, "sparsify.learning_rate", "at least 0", self.learning_rate)


@dataclass(frozen=True)
class ClusterConfig:
    """Weight clustering with TFMOT (Han et al., "Deep Compression", 2016): a smaller download.

    Attributes:
        clusters: Different values that each layer's kernel may hold; 0: any, and the stage is skipped.
        epochs: Of the training with shared weights.
        learning_rate: The peak; 0: a tenth of ``finetune.learning_rate``.
    """

    clusters: int = 0
    epochs: int = 6
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _require(self.clusters == 0 or 2 <= self.clusters <= 256, "cluster.clusters", "0 or 2 to 256", self.clusters)
        _require(self.epochs >= 1, "cluster.epochs", "at least 1", self.epochs)
        _require(self.learning_rate >= 0, "cluster.learning_rate", "at least 0", self.learning_rate)


@dataclass(frozen=True)
class QuantizeConfig:
    """Full INT8 quantization after training (Jacob et al., 2018).

    Attributes:
        samples: Pictures of the representative dataset, class-stratified, from the training split alone; 0: as many
            as it takes for two disjoint sets to give the same ranges.
        io: dtype of the input and output tensors, ``"int8"`` or ``"uint8"``.
        also: Further files that are made and measured: ``"float16"``, ``"dynamic_range"``, ``"int16"``.
    """

    samples: int = 0
    io: Literal["int8", "uint8"] = "int8"
    also: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "also", tuple(self.also))
        _require(self.samples >= 0, "quantize.samples", "at least 0", self.samples)
        _require(self.io in ("int8", "uint8"), "quantize.io", "int8 or uint8", self.io)
        kinds = ("float16", "dynamic_range", "int16")
        _require(set(self.also) <= set(kinds), "quantize.also", f"some of {', '.join(kinds)}", list(self.also))


@dataclass(frozen=True)
class QatConfig:
    """Quantization-aware training (Jacob et al., 2018).

    Attributes:
        always: Trains so in any case; otherwise only where the gate asks for it.
        epochs: Of each such training.
        learning_rate: The peak; 0: a tenth of ``finetune.learning_rate``.
    """

    always: bool = False
    epochs: int = 8
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "qat.epochs", "at least 1", self.epochs)
        _require(self.learning_rate >= 0, "qat.learning_rate", "at least 0", self.learning_rate)


@dataclass(frozen=True)
class GateConfig:
    """What INT8 may lose against FP32.

    Attributes:
        max_drop: Points of validation accuracy.
        min_agreement: Least share of equal top-1 answers, in percent.
        repair: Where the promise isn't kept, better ways to quantize are tried, cheapest first.
        allow_float: The last of them may leave the layers that cost most in float; the model is then not full integer.
    """

    max_drop: float = 1.0
    min_agreement: float = 90.0
    repair: bool = True
    allow_float: bool = False

    def __post_init__(self) -> None:
        _require(0 <= self.max_drop <= 100, "gate.max_drop", "from 0 to 100", self.max_drop)
        _require(0 <= self.min_agreement <= 100, "gate.min_agreement", "from 0 to 100", self.min_agreement)


@dataclass(frozen=True)
class Recipe:
    """All the settings of a run."""

    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    prune: PruneConfig = field(default_factory=PruneConfig)
    sparsify: SparsifyConfig = field(default_factory=SparsifyConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    quantize: QuantizeConfig = field(default_factory=QuantizeConfig)
    qat: QatConfig = field(default_factory=QatConfig)
    gate: GateConfig = field(default_factory=GateConfig)

    def to_dict(self) -> dict[str, Any]:
        """Nested tables, as TOML holds them."""
        return asdict(self)

    def finetune_for(self, epochs: int, learning_rate: float, *, gentle: bool = False) -> FinetuneConfig:
        """The settings by which a compression stage trains: those of fine-tuning, for as long and as fast as it says.

        Args:
            epochs: Of the stage.
            learning_rate: Of the stage; 0: fine-tuning's, or a tenth of it.
            gentle: A tenth.
        """
        usual = self.finetune.learning_rate / (10 if gentle else 1)
        return replace(self.finetune, epochs=epochs, learning_rate=learning_rate or usual)

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
            raise RecipeError(f"Expected one of {', '.join(prefix + k for k in known)}, got {prefix + name!r}.")
        current = known[name]
        if hasattr(current, "__dataclass_fields__"):
            if not isinstance(value, dict):
                raise RecipeError(f"Expected {prefix + name} to be a table of settings, got {value!r}.")
            changes[name] = _updated(current, value, f"{prefix}{name}.")
        else:
            changes[name] = _converted(value, current, prefix + name)
    return replace(config, **changes)


def _converted(value: Any, current: Any, name: str) -> Any:
    kind = type(current)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is tuple and isinstance(value, (list, tuple)):
        # An empty default stands for names, any other one for numbers.
        wanted, convert = ((int, float), float) if current and isinstance(current[0], float) else ((str,), str)
        if all(isinstance(v, wanted) and not isinstance(v, bool) for v in value):
            return tuple(convert(v) for v in value)
    if type(value) is not kind:
        raise RecipeError(f"Expected {name} to be {kind.__name__}, for example {current!r}, got {value!r}.")
    return value
