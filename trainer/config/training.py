"""Settings of the network and of its training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require, require_at_least, require_choices


@dataclass(frozen=True)
class ModelConfig:
    """The network.

    Attributes:
        backbone: Name of a backbone in `trainer.training.networks.backbones`.
        input_size: Input height and width in pixels, 32 to 512; 0: the backbone's default.
        weights: ``"imagenet"`` (an error if they aren't available), ``"auto"`` (ImageNet if available, else none),
            ``"none"`` (train from scratch) or the path of a weights file.
        dropout: Dropout rate before the classifier.
    """

    backbone: str = "mobilenet_v2_0.35"
    input_size: int = 0
    weights: str = "imagenet"
    dropout: float = 0.2

    def __post_init__(self) -> None:
        size = self.input_size
        require(size == 0 or 32 <= size <= 512, "model.input_size", "0 or between 32 and 512", size)
        require(0 <= self.dropout < 1, "model.dropout", "at least 0 and below 1", self.dropout)


@dataclass(frozen=True)
class HeadConfig:
    """Training of the classifier head on the frozen backbone's features, which are computed once.

    Attributes:
        solver: ``"adam"``, or ``"lbfgs"``: logistic regression with an L2 penalty and equal class weights, run to
            convergence. It needs no validation photos for early stopping, which suits few photos, and ignores the
            settings below. Empty: ``"lbfgs"`` with few photos, unless a setting below or the loss is changed
            (`trainer.config.photo_count`).
        epochs: Maximum number of epochs; 0 leaves the classifier untrained.
        batch_size: Number of feature vectors per step.
        learning_rate: Learning rate of Adam.
        patience: Epochs without a lower validation loss before training stops.
    """

    solver: Literal["", "adam", "lbfgs"] = ""
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 3e-3
    patience: int = 10

    def __post_init__(self) -> None:
        require_choices(self, "head.")
        require_at_least(0, self, "head.", "epochs")
        require_at_least(1, self, "head.", "batch_size", "patience")
        require(self.learning_rate > 0, "head.learning_rate", "greater than 0", self.learning_rate)


@dataclass(frozen=True)
class FinetuneConfig:
    """Fine-tuning: training of the network itself, from its top layers to all of it.

    Attributes:
        epochs: Number of epochs. 0 skips fine-tuning; -1: chosen by the number of photos
            (`trainer.config.photo_count`).
        batch_size: Number of pictures per step.
        unfreeze: Share of the backbone's layers to train, counted from the top; from scratch, all are trained.
        train_size: Training resolution as a share of the input size (rounded to a multiple of 32 pixels). If
            ``augment.scale`` zooms in by as much, objects appear as large as in whole pictures at the full input size
            (Touvron et al., "FixRes", 2019), and an epoch takes half the time. 0: chosen by the number of photos
            (`trainer.config.photo_count`).
        start_size: Resolution of the first epochs, which grows to ``train_size`` in equal steps (progressive learning:
            Tan & Le, "EfficientNetV2", 2021); 0: ``train_size`` throughout.
        learning_rate: Peak learning rate, after the warm-up.
        warmup_epochs: Epochs of linear warm-up before the schedule.
        schedule: ``"cosine"`` decay to 0 (Loshchilov & Hutter, 2017), ``"step"`` decay, ``"plateau"`` (decay when the
            validation loss stops falling) or ``"constant"``.
        decay: Factor by which ``"step"`` and ``"plateau"`` multiply the learning rate.
        decay_epochs: Epochs between steps (``"step"``), or without a lower validation loss (``"plateau"``); 0: a third
            of the epochs, or of ``patience``.
        optimizer: ``"adamw"`` (Loshchilov & Hutter, 2019), ``"adam"`` (Kingma & Ba, 2015) or ``"sgd"`` with Nesterov
            momentum, which needs a learning rate about a hundred times as high: see ``edge-trainer find-lr``.
        momentum: Momentum of ``"sgd"``.
        weight_decay: Decoupled weight decay of ``"adamw"`` and ``"sgd"``; biases and batch normalization are excluded.
        clip_norm: Maximum global norm of the gradients (Pascanu et al., 2013); 0: no clipping.
        ema: Momentum per step of an exponential moving average of the weights, such as 0.99. The averaged weights are
            validated and kept (Polyak & Juditsky, 1992). 0: no averaging.
        mixed_precision: If True, layers compute in float16 and keep float32 weights (Micikevicius et al., 2018); needs
            a GPU.
        label_smoothing: Label smoothing of the cross-entropy (Szegedy et al., 2016).
        patience: Epochs without a lower validation loss before training stops. With ``"cosine"`` and ``"step"``, only
            the last third of the epochs counts, and the kept weights come from there.
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
        require(self.epochs >= -1, "finetune.epochs", "at least 0, or -1 for the default", self.epochs)
        require_at_least(1, self, "finetune.", "batch_size", "patience")
        require_at_least(0, self, "finetune.", "warmup_epochs", "decay_epochs", "clip_norm", "weight_decay")
        require(0 < self.unfreeze <= 1, "finetune.unfreeze", "greater than 0 and at most 1", self.unfreeze)
        require(0 <= self.train_size <= 1, "finetune.train_size", "between 0 and 1", self.train_size)
        largest = self.train_size or 1.0
        growing = f"between 0 and finetune.train_size ({largest:g})"
        require(0 <= self.start_size <= largest, "finetune.start_size", growing, self.start_size)
        require(self.learning_rate > 0, "finetune.learning_rate", "greater than 0", self.learning_rate)
        require_choices(self, "finetune.")
        require(0 < self.decay <= 1, "finetune.decay", "greater than 0 and at most 1", self.decay)
        for name in ("momentum", "ema", "label_smoothing"):
            require(0 <= getattr(self, name) < 1, f"finetune.{name}", "at least 0 and below 1", getattr(self, name))
