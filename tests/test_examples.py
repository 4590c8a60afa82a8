"""The examples run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}  # also where the package isn't installed
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)


def output(name: str, *arguments: object) -> str:
    done = run(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten green frames, ten red, ten green, at 30 per second."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    for color in ((60, 160, 60), (60, 60, 160), (60, 160, 60)):
        for _ in range(10):
            writer.write(np.full((48, 64, 3), color, np.uint8))
    writer.release()
    return path


def test_classify_picture(tiny_int8: Path, tmp_path: Path) -> None:
    picture = tmp_path / "red.png"
    cv2.imwrite(str(picture), np.full((48, 64, 3), (60, 60, 160), np.uint8))
    assert output("classify_picture.py", tiny_int8, picture).startswith("red: ")


def test_live_camera(tiny_int8: Path, clip: Path) -> None:
    lines = output("live_camera.py", tiny_int8, clip).splitlines()
    assert len(lines) > 10
    assert any(line.startswith("red ") for line in lines)
    assert any(line.startswith("green ") for line in lines)


def test_act_on_label(tiny_int8: Path, clip: Path) -> None:
    assert output("act_on_label.py", tiny_int8, "red", clip).count("red appeared") == 1
    assert output("act_on_label.py", tiny_int8, "green", clip).count("green appeared") == 2


def test_act_on_label_knows_its_labels(tiny_int8: Path, clip: Path) -> None:
    done = run("act_on_label.py", tiny_int8, "rot", clip)
    assert done.returncode == 1
    assert done.stderr.endswith("Expected one of blue, green, red, got rot.\n")
