"""Check that an exported model runs in the installed interpreters and in the pinned tflite-runtime.

tflite-runtime has no wheels for Python 3.12 and later. Without it, the versions of a model's operations are compared
with the newest that 2.14.0 supports, which were determined by trying each one.
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
    """Result of checking a model file with one interpreter.

    Attributes:
        name: ``"tflite_runtime"`` or ``"ai_edge_litert"``.
        version: Version of the interpreter; empty if it is not installed.
        note: ``"runs"``, or how the file was checked without it.
    """

    name: str
    version: str
    note: str


def check_compatibility(path: str | os.PathLike[str]) -> tuple[InterpreterCheck, ...]:
    """Check that an exported model runs on devices.

    Args:
        path: Model file written by `trainer.export.model_file.Exporter`.

    Returns:
        One result per interpreter.

    Raises:
        ConversionError: tflite-runtime 2.14.0 or an installed interpreter cannot run the model.
        ModelError: The file is not a usable model.
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
    """Check the versions of a model's operations, and the minimum runtime version that the converter recorded.

    Raises:
        ConversionError: The model needs a newer tflite-runtime than 2.14.0.
    """
    pinned = ".".join(map(str, PINNED_VERSION))
    for name, version in model.operators:
        if version > _NEWEST.get(name, version):
            raise ConversionError(
                f"{model.path} contains {name} version {version}, but tflite-runtime {pinned} supports only up to "
                f"version {_NEWEST[name]}. Convert with TensorFlow 2.19, or without this layer."
            )
    needed = tuple(int(part) for part in model.min_runtime_version.split(".") if part.isdigit())
    if needed > PINNED_VERSION:
        raise ConversionError(
            f"{model.path} needs tflite-runtime {model.min_runtime_version}, which is newer than {pinned}. "
            "Convert with TensorFlow 2.19."
        )


def _run(path: Path, backend: str) -> str:
    """Run one inference in a separate process, which the interpreter may crash; return its version."""
    root = str(Path(edge_runtime.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-c", _CHILD, str(path), backend]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise ConversionError(f"{backend} did not run {path} within {_TIMEOUT_S} s. Use a smaller network.") from error
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        if done.returncode < 0:
            reason = f"signal {-done.returncode}"
        raise ConversionError(f"{backend} cannot run {path}: {reason}")
    return str(json.loads(done.stdout.strip().splitlines()[-1]))
