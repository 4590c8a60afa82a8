"""Settings of a search for better settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.config.require import require

OBJECTIVES = ("accuracy", "accuracy+latency", "accuracy+macs")
SAMPLERS = ("tpe", "grid", "random")
PRUNERS = ("median", "hyperband", "none")


@dataclass(frozen=True)
class SearchConfig:
    """How settings are searched for.

    Attributes:
        trials: That end, of all machines together.
        objective: Validation accuracy alone, or with the INT8 model's latency on this machine, or with the network's
            multiply-adds, which are the same on all machines.
        sampler: ``"tpe"`` (tree-structured Parzen estimator, Bergstra et al., 2011), ``"grid"`` or ``"random"``.
        pruner: What ends bad trials early, where accuracy alone counts: ``"median"``, ``"hyperband"`` (Li et al.,
            2018) or ``"none"``.
        finetune_epochs: Each trial trains the whole network for so long; 0: the head alone, on cached features.
        timeout_s: No trial is begun later, in seconds; 0: no limit.
        storage: URL of the database that machines share, as Optuna takes it; empty: a file in the search's folder.
        study: Name in the database; empty: the photos' folder's.
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
        require(self.trials >= 1, "the number of trials", "at least 1", self.trials)
        require(self.objective in OBJECTIVES, "the objective", " or ".join(OBJECTIVES), self.objective)
        require(self.sampler in SAMPLERS, "the sampler", " or ".join(SAMPLERS), self.sampler)
        require(self.pruner in PRUNERS, "the pruner", " or ".join(PRUNERS), self.pruner)
        require(self.finetune_epochs >= 0, "the epochs of fine-tuning", "at least 0", self.finetune_epochs)
        require(self.timeout_s >= 0, "the timeout", "at least 0", self.timeout_s)
