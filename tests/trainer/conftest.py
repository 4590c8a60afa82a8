"""What tests of the trainer share: a small finished run, made once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.tiny import write_photos
from trainer.config import Recipe

if TYPE_CHECKING:
    from trainer.types import RunResult

QUICK = Recipe.from_dict(
    {
        "model": {"backbone": "basic_cnn", "input_size": 32, "weights": "none"},
        "finetune": {"epochs": 6, "patience": 6, "learning_rate": 3e-3},
        "augment": {"set": "default"},  # colour tells the classes apart, which few photos' own set changes
        "quantize": {"samples": 24},
        "gate": {"max_drop": 100.0, "min_agreement": 0.0},
    }
)


@pytest.fixture(scope="session")
def tiny_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty of each of three classes."""
    return write_photos(tmp_path_factory.mktemp("photos"), 60)


@pytest.fixture(scope="session")
def tiny_run(tiny_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Of these photos; leave its folder as it is."""
    from trainer.workflows.train.pipeline import train

    return train(tiny_photos, tmp_path_factory.mktemp("runs") / "first", QUICK)
