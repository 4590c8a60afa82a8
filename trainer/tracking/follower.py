"""What follows a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from trainer.types import Epoch


class Follower(Protocol):
    """Is told what happens in a run; where it can't keep up, it says so once and stops, and the run goes on."""

    def epoch_ended(self, curve: str, epoch: Epoch) -> None:
        """One more line of a learning curve, whose name is unique in the run."""

    def run_ended(self, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """The run has made its figures and files."""

    def run_broken(self, *, stopped: bool) -> None:
        """The run was stopped by its user, or failed."""


CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
"""What of an epoch makes a curve."""
