"""Time from process start to the first result, and peak memory, against bare scripts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import ROOT, SCRIPTS, need_package
from benchmarks.harness.pairs import Interval, median_interval, ratio, ratio_figure, take_turns
from benchmarks.harness.processes import FirstResult, first_result
from benchmarks.subjects.models import build_pair

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_TIME, _MAX_MEMORY = 1.15, 1.1
_MIB = 1 << 20
# This process must stay small (no NumPy), because its memory counts in the peaks of its children.
_DRAW = "import sys, cv2; from benchmarks.harness.inputs import frames; cv2.imwrite(sys.argv[1], frames(1)[0])"


def measure(quick: bool) -> list[Figure]:
    need_package("tflite_runtime", "tflite-runtime")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = build_pair(folder, "mobilenet_v2_0.35")
        picture = folder / "picture.jpg"
        subprocess.run([sys.executable, "-c", _DRAW, str(picture)], check=True, cwd=ROOT)

        def script(file: str, model: Path, cache: Path) -> Callable[[], FirstResult]:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache)}
            # Compiled modules are cached, as in any installation; the warm-up creates them.
            environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
            command = [sys.executable, str(SCRIPTS / file), str(model), str(picture)]
            return lambda: first_result(command, env=environment, cwd=name)

        kept = folder / "cache"
        samples = take_turns(
            "startup",
            {
                "int8": script("ours.py", models.int8, kept),
                "int8_bare": script("bare_kernels.py", models.int8, kept),
                "int8_stock": script("bare.py", models.int8, kept),
                "fp32": script("ours.py", models.fp32, kept),
                "fp32_bare": script("bare.py", models.fp32, kept),
            },
            rounds=4 if quick else 40,
            warmup=1,
        )
        first_s = [
            script("ours.py", models.int8, folder / f"cache{number}")().seconds for number in range(2 if quick else 8)
        ]
    first = median_interval([seconds - median(s.seconds for s in samples["int8"]) for seconds in first_s])
    return [
        *_figures("int8", "INT8 with the kernels on", samples, "int8", "int8_bare"),
        *_figures("int8_stock", "INT8, script without the kernels", samples, "int8", "int8_stock"),
        *_figures("fp32", "FP32", samples, "fp32", "fp32_bare"),
        Figure(
            name="startup.first_run",
            what="What the very first run on a machine takes longer: the self-test of the INT8 kernels",
            value=first.value,
            low=first.low,
            high=first.high,
            unit="s",
            conditions=f"once for each machine and wheel; {len(first_s)} runs with an empty cache",
        ),
    ]


def _figures(
    detail: str, name: str, samples: dict[str, list[FirstResult]], ours: str, bare: str
) -> tuple[Figure, Figure]:
    seconds = [[sample.seconds for sample in samples[one]] for one in (ours, bare)]
    peaks = [[sample.peak_bytes / _MIB for sample in samples[one]] for one in (ours, bare)]

    def figure(kind: str, what: str, compared: Interval, at_most: float, values: str) -> Figure:
        return ratio_figure(
            f"startup.{detail}_{kind}",
            f"{what}, against a bare script ({name})",
            compared,
            at_most=at_most,
            conditions=f"{values} median, MobileNetV2 0.35, 224 px, 1 thread, {len(seconds[0])} pairs",
        )

    return (
        figure(
            "time",
            "Process start to first result",
            ratio(*seconds),
            _MAX_TIME,
            f"{median(seconds[0]):.3f} s against {median(seconds[1]):.3f} s",
        ),
        figure(
            "memory",
            "Peak memory of that process",
            ratio(*peaks),
            _MAX_MEMORY,
            f"{median(peaks[0]):.1f} MiB against {median(peaks[1]):.1f} MiB",
        ),
    )
