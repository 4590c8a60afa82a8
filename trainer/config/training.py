"""Settings of the network and its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        backbone: A name from the table in `trainer.training.networks.backbones`.
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
            play no part in it. Empty: ``"lbfgs"`` with few photos, unless they or the loss ask for something
            (`trainer.config.photo_count`).
        epochs: 0 leaves the classifier as it is.
        patience: Epochs without a lower validation loss before stopping.
    """

    solver: Literal["", "adam", "lbfgs"] = ""
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    patience: int = 10

    def __post_init__(self) -> None:
        require(self.solver in ("", "adam", "lbfgs"), "head.solver", "adam, lbfgs or empty", self.solver)
        require(self.epochs >= 0, "head.epochs", "at least 0", self.epochs)
        require(self.batch_size >= 1, "head.batch_size", "at least 1", self.batch_size)
        require(self.learning_rate > 0, "head.learning_rate", "greater than 0", self.learning_rate)
        require(self.patience >= 1, "head.patience", "at least 1", self.patience)


@dataclass(frozen=True)
class FinetuneConfig:
    """Training of the network itself, from its upper part to all of it.

    Attributes:
        epochs: 0 skips the stage; -1: what suits the number of photos (`trainer.config.photo_count`).
        unfreeze: Share of the backbone's layers, from the top, that is trained; from scratch it is all of them.
        train_size: Share of the input size at which it is trained (rounded to a multiple of 32 pixels). With pictures
            zoomed into by as much (``augment.scale``), things keep the size that they have in whole pictures at the
            full input size (Touvron et al., "FixRes", 2019), and an epoch takes half the time. 0: what suits the
            number of photos (`trainer.config.photo_count`).
        start_size: The share at which it begins, growing from there to ``train_size`` in equal parts of the epochs
            (progressive learning: Tan & Le, "EfficientNetV2", 2021); 0: ``train_size`` throughout.
        learning_rate: The peak, after the warm-up.
        warmup_epochs: Linear warm-up, in whatever schedule follows.
        schedule: ``"cosine"`` decay to 0 (Loshchilov & Hutter, 2017), ``"step"`` decay, ``"plateau"`` (lower when the
            validation loss no longer falls) or ``"constant"``.
        decay: Factor of the learning rate in each step of ``"step"`` and ``"plateau"``.
        decay_epochs: Epochs between steps, or without a lower validation loss; 0: a third of the epochs, or of
            ``patience``.
        optimizer: ``"adamw"`` (Loshchilov & Hutter, 2019), ``"adam"`` (Kingma & Ba, 2015) or ``"sgd"`` with Nesterov
            momentum, which wants a learning rate some hundred times as high: see ``edge-trainer find-lr``.
        momentum: Of ``"sgd"``.
        weight_decay: Decoupled, as AdamW has it, of ``"adamw"`` and ``"sgd"``; biases and batch normalization have
            none.
        clip_norm: Largest norm of all gradients together (Pascanu et al., 2013); 0: any.
        ema: Momentum, per step, of an exponential moving average of the weights, which are then the ones that are
            validated and kept (Polyak & Juditsky, 1992), as 0.99; 0: none.
        mixed_precision: Layers compute in float16, weights stay float32 (Micikevicius et al., 2018); needs a GPU.
        label_smoothing: Of the cross-entropy (Szegedy et al., 2016).
        patience: Epochs without a lower validation loss before stopping; with ``"cosine"`` and ``"step"``
            they count from the last third of the epochs on, of which one is kept.
    """

    epochs: int = -1
    batch_size: int = 32
    unfreeze: float = 1.0
    train_size: float = 0.0
    start_size: float = 0.0
    learning_rate: float = 1.5e-3
    warmup_epochs: float = 1.0
    schedule: Literal["cosine", "step", "plateau", "constant"] = "cosine"
    decay: float = 0.1
    decay_epochs: int = 0
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    clip_norm: float = 0.0
    ema: float = 0.0
    mixed_precision: bool = False
    label_smoothing: float = 0.1
    patience: int = 15

    def __post_init__(self) -> None:
        require(self.epochs >= -1, "finetune.epochs", "at least 0, or -1 to leave it open", self.epochs)
        require(self.batch_size >= 1, "finetune.batch_size", "at least 1", self.batch_size)
        require(0 < self.unfreeze <= 1, "finetune.unfreeze", "above 0, at most 1", self.unfreeze)
        require(0 <= self.train_size <= 1, "finetune.train_size", "from 0 to 1", self.train_size)
        largest = self.train_size or 1.0
        require(
            0 <= self.start_size <= largest,
            "finetune.start_size",
            f"from 0 to finetune.train_size ({largest:g})",
            self.start_size,
        )
        require(self.learning_rate > 0, "finetune.learning_rate", "greater than 0", self.learning_rate)
        require(self.warmup_epochs >= 0, "finetune.warmup_epochs", "at least 0", self.warmup_epochs)
        schedules, optimizers = ("cosine", "step", "plateau", "constant"), ("adamw", "adam", "sgd")
        require(self.schedule in schedules, "finetune.schedule", " or ".join(schedules), self.schedule)
        require(0 < self.decay <= 1, "finetune.decay", "above 0, at most 1", self.decay)
        require(self.decay_epochs >= 0, "finetune.decay_epochs", "at least 0", self.decay_epochs)
        require(self.optimizer in optimizers, "finetune.optimizer", " or ".join(optimizers), self.optimizer)
        for name in ("momentum", "ema"):
            require(0 <= getattr(self, name) < 1, f"finetune.{name}", "from 0 to below 1", getattr(self, name))
        require(self.clip_norm >= 0, "finetune.clip_norm", "at least 0", self.clip_norm)
        require(0 <= self.label_smoothing < 1, "finetune.label_smoothing", "from 0 to below 1", self.label_smoothing)
        require(self.weight_decay >= 0, "finetune.weight_decay", "at least 0", self.weight_decay)
        require(self.patience >= 1, "finetune.patience", "at least 1", self.patience)
