"""Runs that are killed at any moment and resumed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.tiny import write_photos
from trainer.config import Recipe
from trainer.config.recipe_file import write_recipe
from trainer.errors import DatasetError, OutputFolderError
from trainer.workflows.train.pipeline import resume

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
    return write_photos(tmp_path_factory.mktemp("photos"), 20)


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trainer", *map(str, arguments)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}  # models carry their day, and midnight may pass
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def start_run(photos: Path, to: Path, recipe: Recipe) -> subprocess.Popen[str]:
    write_recipe(recipe, to.with_suffix(".toml"))
    return start("train", photos, "--to", to, "--recipe", to.with_suffix(".toml"))


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for the end; the gate may fail, as the training is short."""
    output, _ = process.communicate(timeout=1500)
    assert process.returncode in (0, 1), output
    assert "Model card " in output, output
    return output


def kill_at(process: subprocess.Popen[str], sign: Path) -> None:
    """Wait for a file or folder, then kill the process with SIGKILL."""
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


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(start_run(photos, run, RECIPE))
    return run


@pytest.mark.slow
def test_a_run_that_was_killed_twice_ends_with_the_same_bytes(photos: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    kill_at(start_run(photos, run, RECIPE), run / "stages" / ".finetune.checkpoints" / "1.npz")
    kill_at(start("resume", run), run / "stages" / ".quantize.partial" / "int8_plain.tflite")
    output = finish(start("resume", run))
    assert "[3/7] Training the network: already done" in output
    assert "INT8" in output
    assert model_files(run) == model_files(undisturbed)
    assert names(run) == names(undisturbed)
    curve = json.loads((run / "stages" / "finetune" / "training.json").read_text())["history"]
    assert [epoch["epoch"] for epoch in curve] == [0, 1, 2, 3]


def test_a_finished_run_has_nothing_left_to_do(undisturbed: Path) -> None:
    lines: list[str] = []
    before = model_files(undisturbed)
    result = resume(undisturbed, announce=lines.append)
    assert all(line.endswith("already done") for line in lines if line.startswith("["))
    assert result.int8 == undisturbed / "model_int8.tflite"
    assert model_files(undisturbed) == before


def test_photos_that_are_gone_and_folders_without_a_run_are_told(undisturbed: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputFolderError, match="is not the folder of a run"):
        resume(tmp_path)
    run = tmp_path / "run"
    shutil.copytree(undisturbed, run)
    request = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**request, "photos": str(tmp_path / "gone")}))
    with pytest.raises(DatasetError, match="gone"):
        resume(run)


COMPRESSED = RECIPE.updated(
    {
        "model": {"backbone": "mobilenet_v1_0.25"},
        "finetune": {"epochs": 2},
        "distill": {"teacher": "basic_cnn", "epochs": 2, "feature_weight": 1.0},
        "prune": {"keep_macs": 0.6, "epochs": 1},
        "qat": {"always": True, "epochs": 2},
    }
)
MOMENTS = (
    "stages/.teacher.checkpoints/1.npz",
    "stages/.distill.checkpoints/1.npz",
    "stages/prune",
    "stages/.quantize.checkpoints/1.npz",
    "model_fp32.tflite",
)
"""Files and folders whose first appearance triggers a kill."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_compressed_run_may_be_killed_in_any_stage(photos: Path, tmp_path: Path) -> None:
    whole, run = tmp_path / "whole", tmp_path / "run"
    finish(start_run(photos, whole, COMPRESSED))
    process = start_run(photos, run, COMPRESSED)
    for moment in MOMENTS:
        kill_at(process, run / moment)
        process = start("resume", run)
    finish(process)
    assert model_files(run) == model_files(whole)
    assert names(run) == names(whole)
