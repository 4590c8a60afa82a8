"""Worker processes and environments of the rivals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.harness.environments import environment, reason_of
from benchmarks.harness.figure import Figure, MissingInputError
from benchmarks.harness.inputs import SCRIPTS
from benchmarks.harness.workers import Worker, WorkerError
from benchmarks.table import figures_table

_SCRIPTS = SCRIPTS / "rivals"
_BRIGHTEST = """
import os, signal
from worker import serve

def load(model):
    if model == "missing":
        raise FileNotFoundError(f"no /some/where/{model}.tflite")
    print("libraries may talk")
    def classify(frame):
        if frame.max() == 255:
            os.kill(os.getpid(), signal.SIGSEGV)
        return int(frame.max(axis=(0, 1)).argmax())
    return classify

serve("numpy", load)
"""


def _start(folder: Path, model: str) -> Worker:
    script = folder / "brightest.py"
    script.write_text(_BRIGHTEST)
    return Worker([sys.executable, script, model], env={"PYTHONPATH": str(_SCRIPTS)})


def _frames(path: Path, *brightest: int, value: int = 9) -> Path:
    frames = np.zeros((len(brightest), 4, 6, 3), np.uint8)
    for frame, channel in zip(frames, brightest, strict=True):
        frame[1, 2, channel] = value
    np.save(path, frames)
    return path


def test_a_worker_classifies_the_frames_of_each_file(tmp_path: Path) -> None:
    first, second = _frames(tmp_path / "a.npy", 0, 2, 1), _frames(tmp_path / "b.npy", 1)
    with _start(tmp_path, "a model") as worker:
        assert worker.version == f"numpy {np.__version__}"
        turns = [worker.turn(path) for path in (first, second, first)]
    assert [turn.best for turn in turns] == [[0, 2, 1], [1], [0, 2, 1]]
    assert all(turn.ms > 0 and turn.cpu_ms > 0 for turn in turns)


def test_a_worker_that_cannot_open_its_model_says_why_without_paths(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"^FileNotFoundError: no missing\.tflite$"):
        _start(tmp_path, "missing")


def test_a_worker_that_crashes_is_told(tmp_path: Path) -> None:
    with _start(tmp_path, "a model") as worker:
        for _ in range(2):
            with pytest.raises(WorkerError, match=r"^it crashed \(SIGSEGV\)$"):
                worker.turn(_frames(tmp_path / "bright.npy", 0, value=255))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "it ended without a word"),
        ("Traceback\nValueError: wanted uint8/float32, got INT8.\n\n", "ValueError: wanted uint8/float32, got INT8."),
        ("Error('/tmp/x/model.tflite') at /io/src/file.cpp:47: no", "Error('model.tflite') at file.cpp:47: no"),
    ],
)
def test_a_reason_is_the_last_line_without_places(said: str, reason: str) -> None:
    assert reason_of(said) == reason


def test_an_environment_that_is_there_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one/made_of.txt").write_text(f"{sys.version}\none>=1\ntwo")
    assert environment(("one>=1", "two"), folder=tmp_path) == tmp_path / "one/bin/python"


@pytest.mark.slow
def test_packages_that_cannot_be_had_are_told_in_the_words_of_pip_and_tried_again(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(MissingInputError, match="Invalid requirement"):
            environment(("a package!",), folder=tmp_path)


def test_what_was_not_measured_is_a_row_that_says_why() -> None:
    figure = Figure("rivals.mediapipe_int8", "Speed", None, "×", "it wants uint8")
    assert Figure.from_dict(figure.to_dict()) == figure
    assert figures_table([figure]).endswith(
        "| Speed | not measured |  |  | it wants uint8 | `python -m benchmarks rivals` |"
    )
