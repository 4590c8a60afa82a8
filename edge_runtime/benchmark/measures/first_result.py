"""Time and memory of a fresh process up to its first result: starts the process, and is the process.

The process imports what a user's script would import, and nothing of the benchmark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import BackendError

if TYPE_CHECKING:
    from edge_runtime.inference.options import ClassifierOptions

TIMEOUT_S = 300.0
_MARK = "first result: "


@dataclass(frozen=True)
class FirstResult:
    """Measurements of one process; see `edge_runtime.benchmark.report.Start`."""

    load_ms: float
    first_ms: float
    cold_start_ms: float
    peak_bytes: int


def first_result(options: ClassifierOptions, *, height: int, width: int) -> FirstResult:
    """Classify one gray frame in a fresh process.

    Args:
        options: Model to load and its settings.
        height: Height of the frame, in pixels.
        width: Width of the frame, in pixels.

    Raises:
        BackendError: The process failed, was killed, or took longer than `TIMEOUT_S`.
    """
    job = json.dumps({"options": options.to_dict(), "height": height, "width": width})
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    started = time.monotonic()  # all processes share this clock, which counts from boot
    command = [sys.executable, "-m", "edge_runtime.benchmark.measures.first_result", repr(started)]
    try:
        child = subprocess.run(
            command, input=job, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"The model gave no result within {TIMEOUT_S:.0f} s in a fresh process.") from None
    except OSError as error:
        raise BackendError(f"Cannot start a process for the model: {error}.") from error
    for line in child.stdout.splitlines():
        if line.startswith(_MARK):
            return FirstResult(**json.loads(line.removeprefix(_MARK)))
    if child.returncode < 0:
        raise BackendError(
            f"The model's process was killed by signal {-child.returncode}: the interpreter crashed or memory ran out."
        )
    last = (child.stderr.strip().splitlines() or [f"The model's process ended with status {child.returncode}."])[-1]
    raise BackendError(last.split("Error: ", 1)[-1])


def peak_bytes() -> int:
    """Return the peak memory of this process since it started its program."""
    try:
        # Not getrusage: on Linux it includes what the parent held when this process was forked.
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _main() -> None:
    started = float(sys.argv[1])
    job = json.loads(sys.stdin.read())
    import numpy as np

    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.options import ClassifierOptions

    opening = time.monotonic()
    classifier = Classifier.from_options(ClassifierOptions.from_dict(job["options"]))
    opened = time.monotonic()
    frame = np.full((job["height"], job["width"], 3), 127, np.uint8)
    classifying = time.monotonic()
    classifier.classify(frame)
    done = time.monotonic()
    values = {
        "load_ms": (opened - opening) * 1e3,
        "first_ms": (done - classifying) * 1e3,
        "cold_start_ms": (done - started) * 1e3,
        "peak_bytes": peak_bytes(),
    }
    print(_MARK + json.dumps(values), flush=True)


if __name__ == "__main__":
    _main()
