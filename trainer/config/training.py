"""Settings of the network and its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        backbone: A name from the table in `trainer.training.backbones`.
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
        require(
            self.input_size == 0 or 32 <= self.input_size <= 512, "model.input_size", "0 or 32 to 512", self.input_size
        )
        require(0 <= self.dropout < 1, "model.dropout", "from 0 to below 1", self.dropout)


@dataclass(frozen=True)
class HeadConfig:
    """Training of the classifier on the frozen backbone's features, which are computed once.

    Attributes:
        solver: ``"adam"``, or ``"lbfgs"``: a logistic regression with an L2 penalty, solved to its end, in which all
            classes weigh the same. It needs no validation photos to stop, and so serves few photos; the settings below
            play no part in it.
        epochs: 0 leaves the classifier as it is.
        patience: Epochs without a lower validation loss before stopping.
    """

    solver: Literal["adam", "lbfgs"] = "adam"
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    patience: int = 10

    def __post_init__(self) -> None:
        require(self.solver in ("adam", "lbfgs"), "head.solver", "adam or lbfgs", self.solver)
        require(self.epochs >= 0, "head.epochs", "at least 0", self.epochs)
        require(self.batch_size >= 1, "head.batch_size", "at least 1", self.batch_size)
        require(self.learning_rate > 0, "head.learning_rate", "greater than 0", self.learning_rate)
        require(self.patience >= 1, "head.patience", "at least 1", self.patience)


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
        require(self.epochs >= 0, "finetune.epochs", "at least 0", self.epochs)
        require(self.batch_size >= 1, "finetune.batch_size", "at least 1", self.batch_size)
        for name in ("unfreeze", "train_size"):
            require(0 < getattr(self, name) <= 1, f"finetune.{name}", "above 0, at most 1", getattr(self, name))
        require(self.learning_rate > 0, "finetune.learning_rate", "greater than 0", self.learning_rate)
        require(self.warmup_epochs >= 0, "finetune.warmup_epochs", "at least 0", self.warmup_epochs)
        require(0 <= self.label_smoothing < 1, "finetune.label_smoothing", "from 0 to below 1", self.label_smoothing)
        require(self.weight_decay >= 0, "finetune.weight_decay", "at least 0", self.weight_decay)
        require(self.patience >= 1, "finetune.patience", "at least 1", self.patience)
