"""Settings of what makes a network smaller."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require


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
        require(size == 0 or 32 <= size <= 512, "distill.teacher_input_size", "0 or 32 to 512", size)
        require(self.teacher_epochs >= 0, "distill.teacher_epochs", "at least 0", self.teacher_epochs)
        require(self.epochs >= 1, "distill.epochs", "at least 1 (no teacher: no distillation)", self.epochs)
        require(self.learning_rate >= 0, "distill.learning_rate", "at least 0", self.learning_rate)
        require(self.temperature > 0, "distill.temperature", "greater than 0", self.temperature)
        require(0 <= self.weight <= 1, "distill.weight", "from 0 to 1", self.weight)
        require(self.feature_weight >= 0, "distill.feature_weight", "at least 0", self.feature_weight)


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
        require(0 < self.keep_macs <= 1, "prune.keep_macs", "above 0, at most 1", self.keep_macs)
        kinds = ("taylor", "batch_norm")
        require(self.importance in kinds, "prune.importance", " or ".join(kinds), self.importance)
        require(self.epochs >= 0, "prune.epochs", "at least 0", self.epochs)
        require(self.learning_rate >= 0, "prune.learning_rate", "at least 0", self.learning_rate)


@dataclass(frozen=True)
class SparsifyConfig:
    """Magnitude pruning with TFMOT (Zhu & Gupta, 2017): a smaller download, not a faster network.

    Attributes:
        sparsity: Share of the weights that become zero, of all pruned layers together; each loses what it can spare.
            0: none, and the stage is skipped.
        structure: ``"unstructured"``, ``"2by4"`` (two of four neighbours, so half of all) or ``"block"`` (1×4 blocks).
        layers: Patterns of layer names (``fnmatch``), of which one has to fit; empty: every convolution with a
            kernel of several channels and every dense layer but the last, where they hold a hundredth of the weights.
        epochs: Sparsity grows in the first two thirds of them; ``"2by4"`` is there from the first step on.
        learning_rate: The peak; 0: a fifth of ``finetune.learning_rate``.
    """

    sparsity: float = 0.0
    structure: Literal["unstructured", "2by4", "block"] = "unstructured"
    layers: tuple[str, ...] = ()
    epochs: int = 12
    learning_rate: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        require(0 <= self.sparsity < 1, "sparsify.sparsity", "from 0 to below 1", self.sparsity)
        kinds = ("unstructured", "2by4", "block")
        require(self.structure in kinds, "sparsify.structure", ", ".join(kinds), self.structure)
        require(
            self.structure != "2by4" or self.sparsity in (0, 0.5), "sparsify.sparsity", "0.5 for 2by4", self.sparsity
        )
        require(self.epochs >= 1, "sparsify.epochs", "at least 1", self.epochs)
        require(self.learning_rate >= 0, "sparsify.learning_rate", "at least 0", self.learning_rate)


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
        require(self.clusters == 0 or 2 <= self.clusters <= 256, "cluster.clusters", "0 or 2 to 256", self.clusters)
        require(self.epochs >= 1, "cluster.epochs", "at least 1", self.epochs)
        require(self.learning_rate >= 0, "cluster.learning_rate", "at least 0", self.learning_rate)
