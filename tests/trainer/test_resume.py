"""Runs that are killed, at any moment, and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from tests.tiny import LABELS, picture
from trainer.config import Recipe
from trainer.recipe import write_recipe

# Dropout, momentum, growing pictures, averaged weights: all that an epoch leaves to the next one.
RECIPE = Recipe.from_dict(
    {
        "model": {"backbone": "basic_cnn", "input_size": 64, "weights": "none"},
        "finetune": {"epochs": 4, "learning_rate": 3e-3, "batch_size": 16, "ema": 0.5, "start_size": 0.5},
        "quantize": {"samples": 24},
        "gate": {"max_drop": 100.0, "min_agreement": 0.0},
    }
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for label in LABELS:
        (folder / label).mkdir()
        for seed in range(20):
            cv2.imwrite(str(folder / label / f"{seed:02}.png"), picture(label, seed=seed)[:, :, ::-1])
    return folder


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trainer", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def train(photos: Path, to: Path, recipe: Recipe) -> subprocess.Popen[str]:
    write_recipe(recipe, to.with_suffix(".toml"))
    return start("train", photos, "--to", to, "--recipe", to.with_suffix(".toml"))


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def kill_at(process: subprocess.Popen[str], sign: Path) -> None:
    """Waits for a file or folder and kills the process, which can do nothing about it."""
    while not sign.exists():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def model_files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.tflite"))}


def names(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*")}
