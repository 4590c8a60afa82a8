"""Event files for TensorBoard, in one folder per learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.tracking.follower import CURVES
from trainer.types import Epoch


class TensorBoardFollower:
    """Writes scalars: the learning curves by epoch, and the run's metrics at the end.

    Args:
        folder: Folder for the event files; TensorBoard shows each folder in it as a run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def epoch_ended(self, curve: str, epoch: Epoch) -> None:
        """Write one epoch of a learning curve."""
        self._write(curve, {name: getattr(epoch, name) for name in CURVES}, epoch.epoch)

    def run_ended(self, figures: Mapping[str, float], files: Sequence[Path]) -> None:
        """Write the metrics, once."""
        if not (self._folder / "result").exists():
            self._write("result", figures, 0)
        self._close()

    def run_broken(self, *, stopped: bool) -> None:
        """Close the files; a resumed run writes new ones next to them."""
        self._close()

    def _write(self, curve: str, values: Mapping[str, float], step: int) -> None:
        import tensorflow as tf

        if curve not in self._writers:
            self._writers[curve] = tf.summary.create_file_writer(str(self._folder / curve))
        with self._writers[curve].as_default():
            for name, value in values.items():
                tf.summary.scalar(name, value, step)
        self._writers[curve].flush()

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
