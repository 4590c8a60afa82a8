"""What a device gets: the base install in a fresh environment, and what happens in a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import cv2
import pytest

from tests.support.tiny import picture
from tests.support.wheel import CLEAN, ROOT, pip

pytestmark = pytest.mark.slow

TRAINING = ("tensorflow", "keras", "tf_keras", "scikit-learn", "pillow", "matplotlib", "jinja2", "tqdm", "tomli-w")


@pytest.fixture(scope="module")
def device(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment that holds the base install alone."""
    python = new_environment(tmp_path_factory.mktemp("device"))
    pip(python, "install", wheel)
    return python.parent


def new_environment(folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    return folder / "bin" / "python"


def test_holds_the_device_and_nothing_of_the_trainer(device: Path) -> None:
    command = [device / "python", "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    names = {entry["name"].lower().replace("_", "-") for entry in listed}
    assert "edge-image-sdk" in names
    assert names & {*TRAINING, "tensorflow-model-optimization", "protobuf"} == set()
    interpreter = {"tflite-runtime"} if sys.version_info < (3, 12) else names & {"ai-edge-litert"}
    assert names >= {"numpy", "opencv-python-headless", *interpreter}
    if interpreter == {"tflite-runtime"}:
        assert names == {"edge-image-sdk", "numpy", "opencv-python-headless", "tflite-runtime", "pip", "setuptools"}


def test_classifies_a_picture(device: Path, tiny_int8: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "green.png"), picture("green")[:, :, ::-1])
    script = f"""
import cv2
from edge_runtime import Classifier

classifier = Classifier({str(tiny_int8)!r})
print(classifier.classify(cv2.imread("green.png")).top.label)
"""
    done = subprocess.run(
        [device / "python", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, env=CLEAN
    )
    assert (done.returncode, done.stdout) == (0, "green\n"), done.stderr


def test_has_the_command_and_its_self_test_passes_from_the_wheel(device: Path, tiny_int8: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "red.png"), picture("red")[:, :, ::-1])
    for arguments, words in (
        (["verify", tiny_int8], "verified: 2 golden samples"),
        (["classify", tiny_int8, "red.png"], "red.png: red"),
        (["info", tiny_int8], "INT8 kernels"),
    ):
        command = [device / "edge-runtime", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=CLEAN)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert "can't" not in done.stdout


def test_training_without_the_extra_names_the_command_that_installs_it(device: Path, tmp_path: Path) -> None:
    command = [device / "edge-trainer", "train", tmp_path, "--to", tmp_path / "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=CLEAN)
    assert done.returncode == 1
    assert "pip install 'edge-image-sdk[trainer]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_wheel_is_marked_as_typed_and_holds_no_tests(device: Path) -> None:
    site = next(device.parent.glob("lib/python*/site-packages"))
    assert (site / "edge_runtime" / "py.typed").exists()
    assert (site / "trainer" / "py.typed").exists()
    assert not (site / "tests").exists()
    assert not (site / "benchmarks").exists()


@pytest.mark.skipif(find_spec("tflite_runtime") is None, reason="needs a Python that tflite-runtime has wheels for")
def test_numpy_2_with_tflite_runtime_is_told_before_it_fails(tiny_int8: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "environment")
    pip(python, "install", "tflite-runtime==2.14.0", "numpy>=2,<3")
    command = [python, "-m", "edge_runtime", "info", tiny_int8]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, env=CLEAN)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "tflite_runtime: it needs NumPy 1, and NumPy 2" in line
    assert "pip install 'numpy<2'" in line
