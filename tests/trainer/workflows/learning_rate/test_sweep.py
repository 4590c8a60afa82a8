from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from tests.support.tiny import LABELS, picture
from tests.trainer.training.test_head import CONTRACT, colored, quiet, small_model
from trainer.cli.main import main
from trainer.config import FinetuneConfig
from trainer.types import TrainingSet
from trainer.workflows.learning_rate.figure import format_sweep
from trainer.workflows.learning_rate.sweep import HIGHEST, LOWEST, RateSweep, sweep_rates

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_rate_grows_until_training_comes_apart() -> None:
    config = FinetuneConfig(batch_size=16, train_size=1.0, optimizer="sgd", ema=0.9, start_size=0.5, patience=1)
    data = TrainingSet(colored(64, 0), colored(20, 1), CONTRACT)
    sweep = sweep_rates(small_model(), data, quiet(config), from_scratch=True, steps=60)
    assert sweep.rates[0] == LOWEST
    assert list(sweep.rates) == sorted(sweep.rates)
    assert len(sweep.losses) == len(sweep.rates) <= 60
    assert sweep.rates[-1] < HIGHEST
    assert min(sweep.losses) < 0.9 * sweep.losses[0]
    assert 1e-4 < sweep.suggestion < sweep.rates[-1]


def test_the_suggestion_is_half_the_rate_with_the_lowest_loss() -> None:
    sweep = RateSweep((1e-3, 1.234e-2, 1e-1), (1.0, 0.5, 2.0))
    assert sweep.suggestion == 6.2e-3
    assert "--set finetune.learning_rate=0.0062" in format_sweep(sweep)


def test_the_command_prints_a_table_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for label in LABELS:
        (tmp_path / "photos" / label).mkdir(parents=True)
        for seed in range(12):
            cv2.imwrite(str(tmp_path / "photos" / label / f"{seed}.png"), picture(label, seed=seed)[:, :, ::-1])
    settings = ("model.backbone=basic_cnn", "model.input_size=32", "model.weights=none", "finetune.train_size=1.0")
    command = ["find-lr", str(tmp_path / "photos"), "--steps", "20", "--to", str(tmp_path / "rates.png")]
    for setting in settings:
        command += ["--set", setting]
    assert main(command) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[0].split() == ["learning", "rate", "loss"]
    assert "Suggested: --set finetune.learning_rate=" in output
    assert cv2.imread(str(tmp_path / "rates.png")) is not None
    assert main([*command[:2], "--to", str(tmp_path / "nowhere" / "rates.png")]) == 1
    assert "its folder doesn't exist" in capsys.readouterr().err
    assert main([*command[:2], "--to", str(tmp_path / "rates.xyz")]) == 1
    assert "its suffix must be one of .png" in capsys.readouterr().err
    assert main([*command[:2], "--steps", "3"]) == 1
    assert "needs at least 20 steps" in capsys.readouterr().err
