"""Opens an exported file in the real interpreters, and tells what the pinned tflite-runtime would refuse.

tflite-runtime has no wheels for Python 3.12 and later; where it can't be had, the versions of the operations are held
against the newest that 2.14.0 knows, which were found by asking it for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import edge_runtime
from edge_runtime.model.file import ModelFile, read_model_file
from trainer.errors import ConversionError

PINNED_VERSION = (2, 14, 0)

# Newest version of each operation in tflite-runtime 2.14.0.
_NEWEST = {
    "ADD": 5,
    "AVERAGE_POOL_2D": 3,
    "CONCATENATION": 4,
    "CONV_2D": 7,
    "DEPTHWISE_CONV_2D": 7,
    "DEQUANTIZE": 5,
    "DIV": 2,
    "FULLY_CONNECTED": 10,
    "GELU": 2,
    "HARD_SWISH": 1,
    "LEAKY_RELU": 2,
    "LOGISTIC": 3,
    "MAX_POOL_2D": 3,
    "MEAN": 3,
    "MUL": 7,
    "PACK": 4,
    "PAD": 4,
    "PRELU": 1,
    "QUANTIZE": 3,
    "RELU": 3,
    "RELU6": 3,
    "RESHAPE": 1,
    "RESIZE_BILINEAR": 4,
    "SHAPE": 1,
    "SOFTMAX": 3,
    "SPLIT": 4,
    "SQUARED_DIFFERENCE": 2,
    "SQUEEZE": 2,
    "STRIDED_SLICE": 8,
    "SUB": 5,
    "SUM": 2,
    "TANH": 3,
}
_CHILD = """
import json, sys
from edge_runtime import Classifier
with Classifier(sys.argv[1], backend=sys.argv[2]) as classifier:
    classifier.invoke()
    print(json.dumps(classifier.backend.version))
"""
_TIMEOUT_S = 120


@dataclass(frozen=True)
class InterpreterCheck:
    """What an interpreter made of a model file.

    Attributes:
        name: ``"tflite_runtime"`` or ``"ai_edge_litert"``.
        version: Its version; empty where it is not installed.
        note: ``"runs"``, or how else it was checked.
    """

    name: str
    version: str
    note: str


def check_compatibility(path: str | os.PathLike[str]) -> tuple[InterpreterCheck, ...]:
    """Checks that an exported model runs where it will be shipped to.

    Args:
        path: Of a file by `trainer.export.model_file.export_model`.

    Returns:
        One entry for each interpreter.

    Raises:
        ConversionError: tflite-runtime 2.14.0, or an installed interpreter, can't run it.
        ModelError: It is no usable model file.
    """
    model = read_model_file(path)
    check_versions(model)
    checks = []
    for name in ("tflite_runtime", "ai_edge_litert"):
        if find_spec(name) is not None:
            checks.append(InterpreterCheck(name, _run(model.path, name), "runs"))
        elif name == "tflite_runtime":
            checks.append(InterpreterCheck(name, "", "not installed; checked by the versions of the operations"))
    return tuple(checks)


def check_versions(model: ModelFile) -> None:
    """Checks the versions of a model's operations, and the minimum runtime version that the converter noted.

    Raises:
        ConversionError: tflite-runtime 2.14.0 is too old for one.
    """
    pinned = ".".join(map(str, PINNED_VERSION))
    for name, version in model.operators:
        if version > _NEWEST.get(name, version):
            raise ConversionError(
                f"Expected operations that tflite-runtime {pinned} knows, got {name} version {version} (it knows up to "
                f"{_NEWEST[name]}) in {model.path}. Convert with TensorFlow 2.19, or without this layer."
            )
    needed = tuple(int(part) for part in model.min_runtime_version.split(".") if part.isdigit())
    if needed > PINNED_VERSION:
        raise ConversionError(
            f"Expected a model for tflite-runtime {pinned}, got one that needs {model.min_runtime_version}: "
            f"{model.path}. Convert with TensorFlow 2.19."
        )


def _run(path: Path, backend: str) -> str:
    """Classifies once in a process of its own, since an interpreter can take its process down; gives its version."""
    root = str(Path(edge_runtime.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-c", _CHILD, str(path), backend]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConversionError(
            f"Expected {backend} to run {path}, but it took more than {_TIMEOUT_S} s. Use a smaller network."
        ) from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if done.returncode < 0:
            reason = f"signal {-done.returncode}"
        raise ConversionError(f"Expected {backend} to run {path}, but it failed: {reason}")
    return str(json.loads(done.stdout.strip().splitlines()[-1]))
