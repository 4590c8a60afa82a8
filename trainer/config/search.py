"""Settings of a hyperparameter search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require_at_least, require_choices


@dataclass(frozen=True)
class SearchConfig:
    """A hyperparameter search.

    Attributes:
        trials: Number of completed trials, of all machines together.
        objective: Validation accuracy alone, or together with the INT8 model's latency on this machine, or with the
            network's multiply-adds, which are the same on all machines.
        sampler: ``"tpe"`` (tree-structured Parzen estimator, Bergstra et al., 2011), ``"grid"`` or ``"random"``.
        pruner: What stops bad trials early if accuracy is the only objective: ``"median"``, ``"hyperband"`` (Li et
            al., 2018) or ``"none"``.
        finetune_epochs: Epochs for which each trial trains the whole network; 0: the head alone, on cached features.
        timeout_s: Seconds after which no new trial starts; 0: no limit.
        storage: Optuna URL of a database that several machines share; empty: a file in the search's folder.
        study: Name of the study in the database; empty: the name of the photos' folder.
    """

    trials: int = 30
    objective: Literal["accuracy", "accuracy+latency", "accuracy+macs"] = "accuracy"
    sampler: Literal["tpe", "grid", "random"] = "tpe"
    pruner: Literal["median", "hyperband", "none"] = "median"
    finetune_epochs: int = 0
    timeout_s: float = 0.0
    storage: str = ""
    study: str = ""

    def __post_init__(self) -> None:
        require_choices(self)
        require_at_least(1, self, "", "trials")
        require_at_least(0, self, "", "finetune_epochs", "timeout_s")
