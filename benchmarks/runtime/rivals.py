"""`Classifier.classify` from frame to best class, against other programs that run the same file (rivals).

Every program has its own process, environment and one thread, and they classify the same frames in turns. A program
built on TensorFlow Lite is compared with our classifier on the same generation, tflite-runtime 2.14 or LiteRT; other
programs are compared with both. A program that cannot open the file is a row with the reason.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from benchmarks.harness.environments import environment, reason_of
from benchmarks.harness.figure import Figure, MissingInputError
from benchmarks.harness.inputs import ROOT, SCRIPTS, frames
from benchmarks.harness.pairs import ratio, ratio_figure, take_turns
from benchmarks.harness.workers import Turn, Worker, WorkerError
from benchmarks.subjects.models import build_pair

_SCRIPTS = SCRIPTS / "rivals"
_FRAMES = 8
_BACKENDS = {"tflite_runtime": "tflite-runtime", "ai_edge_litert": "LiteRT"}
_FILES = {"int8": "INT8", "uint8": "INT8, uint8 in and out", "fp32": "FP32"}
_NUMPY_1 = ("numpy<2", "opencv-python-headless<4.12")  # OpenCV 4.12 and later require NumPy 2


@dataclass(frozen=True)
class Rival:
    """A program that runs the same file.

    Attributes:
        key: Short name.
        name: Name in the table.
        script: Script in ``subjects/scripts/rivals``.
        requirements: Packages to install.
        generation: Backend that it is built on; empty if neither, so that it is compared with both.
        files: Model files on which it is measured.
        converted: Conversion of the file by ``to_onnx.py``; empty if it reads our file.
    """

    key: str
    name: str
    script: str
    requirements: tuple[str, ...]
    generation: str = ""
    files: tuple[str, ...] = ("int8", "fp32")
    converted: str = ""


RIVALS = (
    Rival(
        "hand_tflite_runtime",
        "the tutorials' loop in tflite-runtime",
        "hand_loop.py",
        ("tflite-runtime==2.14.0", *_NUMPY_1),
        generation="tflite_runtime",
    ),
    Rival(
        "hand_litert",
        "the tutorials' loop in LiteRT",
        "hand_loop.py",
        ("ai-edge-litert", "opencv-python-headless"),
        generation="ai_edge_litert",
    ),
    Rival(
        "mediapipe",
        "MediaPipe Tasks",
        "mediapipe_tasks.py",
        ("mediapipe",),
        generation="ai_edge_litert",
        files=("int8", "uint8", "fp32"),
    ),
    Rival(
        "task_library",
        "the TensorFlow Lite Task Library",
        "task_library.py",
        ("tflite-support>=0.4.4", *_NUMPY_1),
        generation="tflite_runtime",
        files=("int8", "uint8", "fp32"),
    ),
    Rival("opencv", "OpenCV's DNN module", "opencv_dnn.py", ("opencv-python-headless",)),
    Rival(
        "onnx",
        "ONNX Runtime, the file converted by tf2onnx",
        "onnx_runtime.py",
        ("onnxruntime", "opencv-python-headless"),
        converted="as_it_is",
    ),
    Rival(
        "onnx_quantized",
        "ONNX Runtime, the FP32 file converted by tf2onnx and quantized by ONNX Runtime",
        "onnx_runtime.py",
        ("onnxruntime", "opencv-python-headless"),
        files=("int8",),
        converted="quantized",
    ),
)
_CONVERTER = ("tf2onnx>=1.17", "tensorflow>=2.19,<2.20", "onnxruntime", "sympy")


def measure(quick: bool) -> list[Figure]:
    backends = [name for name in _BACKENDS if find_spec(name) is not None]
    if not backends:
        raise MissingInputError("needs tflite-runtime or LiteRT")
    with tempfile.TemporaryDirectory() as name:
        inputs = _inputs(Path(name))
        return [figure for file in _FILES for figure in _compare(file, inputs, backends, quick)]


@dataclass(frozen=True)
class _Inputs:
    """Inputs of all programs: model files by type, camera frames, and pictures that need no resizing."""

    models: Mapping[str, Path]
    frames: Path
    pictures: Path


def _inputs(folder: Path) -> _Inputs:
    import cv2
    import numpy as np

    pair = build_pair(folder, "mobilenet_v2_1.0")
    (folder / "uint8").mkdir()
    uint8 = build_pair(folder / "uint8", "mobilenet_v2_1.0", io="uint8").int8
    models = {"int8": pair.int8, "uint8": uint8, "fp32": pair.fp32}
    inputs = _Inputs(models, folder / "frames.npy", folder / "pictures.npy")
    drawn = frames(_FRAMES)
    np.save(inputs.frames, np.stack(drawn))
    squares = [cv2.resize(frame[:, 80:560], (224, 224), interpolation=cv2.INTER_AREA) for frame in drawn]
    np.save(inputs.pictures, np.stack(squares))
    return inputs


def _compare(file: str, inputs: _Inputs, backends: Sequence[str], quick: bool) -> list[Figure]:
    """Compare all programs on one file."""
    rivals = [rival for rival in RIVALS if file in rival.files]
    refused: dict[str, str] = {}
    with ExitStack() as opened:
        workers = {backend: opened.enter_context(_ours(inputs.models[file], backend)) for backend in backends}
        answers = {backend: worker.turn(inputs.pictures).best for backend, worker in workers.items()}
        for rival in rivals:
            try:
                if rival.generation and rival.generation not in backends:
                    raise MissingInputError(f"needs {_BACKENDS[rival.generation]} in this environment too")
                worker = opened.enter_context(_start(rival, file, inputs))
                answers[rival.key] = worker.turn(inputs.pictures).best
                workers[rival.key] = worker
            except (MissingInputError, WorkerError) as reason:
                refused[rival.key] = str(reason)

        samples = take_turns(
            f"rivals {file}",
            {key: partial(worker.turn, inputs.frames) for key, worker in workers.items()},
            rounds=6 if quick else 60,
            warmup=1,
        )
        versions = {key: worker.version for key, worker in workers.items()}

    def figures(rival: Rival) -> Iterator[Figure]:
        what = f"against {rival.name} ({_FILES[file]})"
        if rival.key in refused:
            yield Figure(f"rivals.{rival.key}_{file}", f"Speed of `classify` {what}", None, "×", refused[rival.key])
            return
        for ours in backends if not rival.generation else (rival.generation,):
            mine, theirs = samples[ours], samples[rival.key]
            yield ratio_figure(
                f"rivals.{rival.key}_{file}" + ("" if rival.generation else f"_{ours}"),
                f"Speed of `classify` in {_BACKENDS[ours]} {what}",
                ratio([turn.ms for turn in theirs], [turn.ms for turn in mine]),
                at_least=1.0,
                conditions=f"{_times(mine)} in {versions[ours]} against {_times(theirs)} in {versions[rival.key]}, "
                f"640×480 frame to best class, MobileNetV2 1.0, 224 px, 1 thread, "
                f"{_agreement(answers[ours], answers[rival.key])}, {len(mine)} pairs of {_FRAMES} frames",
            )

    return [figure for rival in rivals for figure in figures(rival)]


def _ours(model: Path, backend: str) -> Worker:
    command = [sys.executable, _SCRIPTS / "edge_runtime_classifier.py", model, backend]
    return Worker(command, env={"PYTHONPATH": str(ROOT)})


def _start(rival: Rival, file: str, inputs: _Inputs) -> Worker:
    """Start a rival with its file.

    Raises:
        MissingInputError: It cannot be installed, or its file cannot be converted.
        WorkerError: It cannot open the file.
    """
    python = environment(rival.requirements)
    model = inputs.models[file]
    if rival.converted == "as_it_is":
        model = _to_onnx(model)
    elif rival.converted == "quantized":
        model = _to_onnx(inputs.models["fp32"], inputs.pictures)
    return Worker([python, _SCRIPTS / rival.script, model])


def _to_onnx(model: Path, pictures: Path | None = None) -> Path:
    """Convert a file to ONNX, and quantize it if there are pictures for calibration."""
    target = model.with_suffix(".onnx" if pictures is None else ".quantized.onnx")
    arguments = [model, target] if pictures is None else [model, target, pictures]
    command = [environment(_CONVERTER), _SCRIPTS / "to_onnx.py", *arguments]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise MissingInputError(f"tf2onnx doesn't convert the file: {reason_of(done.stderr)}")
    return target


def _times(turns: Sequence[Turn]) -> str:
    """Format wall-clock and CPU time. More CPU time means several threads, much less means a busy machine."""
    ms, cpu_ms = (median(times) for times in zip(*((turn.ms, turn.cpu_ms) for turn in turns), strict=True))
    return f"{ms:.2f} ms ({cpu_ms:.2f} of processors)"


def _agreement(ours: Sequence[int], theirs: Sequence[int]) -> str:
    equal = sum(a == b for a, b in zip(ours, theirs, strict=True))
    return f"same answer on {equal} of {len(ours)} pictures of 224 px"
