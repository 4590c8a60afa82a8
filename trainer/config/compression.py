"""Settings of distillation, pruning, sparsity and weight clustering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require, require_at_least, require_choices


@dataclass(frozen=True)
class DistillConfig:
    """Distillation: training the network on a teacher's predictions (Hinton et al., 2015).

    Attributes:
        teacher: Name of a backbone, which is trained in the same run, folder of a finished run, or file of a Keras
            model; empty: no distillation.
        teacher_input_size: Input height and width of a backbone teacher, in pixels; 0: the backbone's default.
        teacher_epochs: Fine-tuning epochs of a backbone teacher; 0: ``finetune.epochs``.
        epochs: Epochs of distillation, after the student's own training.
        learning_rate: Peak learning rate; 0: ``finetune.learning_rate``.
        temperature: Temperature by which the soft loss divides both logits.
        weight: Share of the soft loss, from 0 (labels only) to 1 (teacher only).
        flip: If True, average the teacher's predictions for a picture and its mirror image.
        feature_weight: Weight of the distance between the last feature maps in the loss; 0: not used.
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
        require(size == 0 or 32 <= size <= 512, "distill.teacher_input_size", "0 or between 32 and 512", size)
        require_at_least(0, self, "distill.", "teacher_epochs", "learning_rate", "feature_weight")
        require(self.epochs >= 1, "distill.epochs", "at least 1 (to skip distillation, set no teacher)", self.epochs)
        require(self.temperature > 0, "distill.temperature", "greater than 0", self.temperature)
        require(0 <= self.weight <= 1, "distill.weight", "between 0 and 1", self.weight)


@dataclass(frozen=True)
class PruneConfig:
    """Channel pruning, which makes the network smaller and faster on any hardware.

    Attributes:
        keep_macs: Share of the multiply-adds to keep; 1: no pruning.
        importance: Ranking of the channels: by first-order Taylor expansion (Molchanov et al., 2019) or by the scale of
            batch normalization (Liu et al., "Network Slimming", 2017).
        epochs: Epochs of training after pruning, distilled from the unpruned network.
        learning_rate: Peak learning rate; 0: ``finetune.learning_rate``.
    """

    keep_macs: float = 1.0
    importance: Literal["taylor", "batch_norm"] = "taylor"
    epochs: int = 16
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        require(0 < self.keep_macs <= 1, "prune.keep_macs", "greater than 0 and at most 1", self.keep_macs)
        require_choices(self, "prune.")
        require_at_least(0, self, "prune.", "epochs", "learning_rate")


@dataclass(frozen=True)
class SparsifyConfig:
    """Magnitude pruning with TFMOT (Zhu & Gupta, 2017), for a smaller download; the network doesn't get faster.

    Attributes:
        sparsity: Share of zeros among the weights of all pruned layers together; 0: no sparsity.
        structure: ``"unstructured"``, ``"2by4"`` (two of every four, so always half) or ``"block"`` (1×4 blocks).
        layers: Patterns (``fnmatch``) for the names of the layers to prune. Empty: all convolutions with multi-channel
            kernels and all dense layers except the last that hold at least 1% of the weights.
        epochs: Epochs of training. Sparsity grows during the first two thirds; ``"2by4"`` is complete at once.
        learning_rate: Peak learning rate; 0: a fifth of ``finetune.learning_rate``.
    """

    sparsity: float = 0.0
    structure: Literal["unstructured", "2by4", "block"] = "unstructured"
    layers: tuple[str, ...] = ()
    epochs: int = 12
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        require(0 <= self.sparsity < 1, "sparsify.sparsity", "at least 0 and below 1", self.sparsity)
        require_choices(self, "sparsify.")
        half = self.structure != "2by4" or self.sparsity in (0, 0.5)
        require(half, "sparsify.sparsity", "0.5 with structure 2by4", self.sparsity)
        require_at_least(1, self, "sparsify.", "epochs")
        require_at_least(0, self, "sparsify.", "learning_rate")


@dataclass(frozen=True)
class ClusterConfig:
    """Weight clustering with TFMOT (Han et al., "Deep Compression", 2016), for a smaller download.

    Attributes:
        clusters: Number of distinct values in each layer's kernel, 2 to 256; 0: no clustering.
        epochs: Epochs of training with shared weights.
        learning_rate: Peak learning rate; 0: a tenth of ``finetune.learning_rate``.
    """

    clusters: int = 0
    epochs: int = 6
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        clusters = self.clusters
        require(clusters == 0 or 2 <= clusters <= 256, "cluster.clusters", "0 or between 2 and 256", clusters)
        require_at_least(1, self, "cluster.", "epochs")
        require_at_least(0, self, "cluster.", "learning_rate")
