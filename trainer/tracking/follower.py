"""The interface of experiment trackers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from trainer.types import Epoch


class Follower(Protocol):
    """Receives what happens in a run. If a follower fails, it warns once and stops; the run continues."""

    def epoch_ended(self, curve: str, epoch: Epoch) -> None:
        """Record one epoch of a learning curve; the curve's name is unique in the run."""

    def run_ended(self, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """Record the metrics and files of the finished run."""

    def run_broken(self, *, stopped: bool) -> None:
        """Record that the run was stopped by its user, or failed."""


CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
"""Metrics of an epoch that are recorded."""
