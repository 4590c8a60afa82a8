"""Repeatability of `edge-runtime benchmark`, also beside another busy program, and the overhead of its timing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import ROOT, frames
from benchmarks.harness.pairs import ratio, take_turns
from benchmarks.subjects.models import ModelPair, build_pair

_BACKBONE = "mobilenet_v2_0.35"
_NAME = "MobileNetV2 0.35, 224 px"
_RUNS = 5
_SECONDS = 30.0

_NEIGHBOUR = """
import os, random, time
import numpy as np
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
draw, data = random.Random(0), np.ones(4_000_000, np.float32)
while True:  # bursts of a tenth of a second to a second, with pauses as long: memory, caches and the core's units
    end = time.monotonic() + draw.uniform(0.1, 1.0)
    while time.monotonic() < end:
        data *= 1.0000001
    time.sleep(draw.uniform(0.1, 1.0))
"""


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        pair = build_pair(Path(folder), _BACKBONE)
        return [
            _agreement("quiet", "on a machine that does nothing else", pair, quick),
            _agreement("neighbour", "beside a program that is busy on the last core, in bursts", pair, quick),
            _overhead(pair, quick),
        ]


def _agreement(detail: str, where: str, pair: ModelPair, quick: bool) -> Figure:
    runs, seconds = (2, 3.0) if quick else (_RUNS, _SECONDS)
    with _neighbour() if detail == "neighbour" else nullcontext():
        ratios = [_int8_to_fp32(pair, seconds) for _ in range(runs)]
    found = ", ".join(f"{one:.3f}" for one in ratios)
    return Figure(
        name=f"agreement.{detail}",
        what=f"How far {runs} runs of the same benchmark differ in the ratio of INT8 to FP32, {where}",
        value=100 * (max(ratios) / min(ratios) - 1),
        unit="%",
        at_most=3.0,
        conditions=f"the greatest ratio over the least: {found}; {_NAME}, 1 thread, {seconds:g} s of rounds each",
    )


def _int8_to_fp32(pair: ModelPair, seconds: float) -> float:
    """Return the ratio from one run of the command."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "edge_runtime", "benchmark", str(pair.int8), "--baseline", str(pair.fp32)),
            *("--num-threads", "1", "--seconds", str(seconds), "--json", "-"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    found: float = json.loads(done.stdout)["models"][0]["inference_speedup"]["ratio"]
    return found


@contextmanager
def _neighbour() -> Iterator[None]:
    busy = subprocess.Popen([sys.executable, "-c", _NEIGHBOUR], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def _overhead(pair: ModelPair, quick: bool) -> Figure:
    """Compare inferences within the benchmark with a bare loop of ``invoke``, in turns.

    CPU time is compared, which includes everything that the benchmark adds, also outside of its timer.
    """
    from edge_runtime import Classifier
    from edge_runtime.benchmark.timing.contender import Contender

    frame = frames(1)[0]
    with Classifier(pair.int8, num_threads=1) as classifier:
        contender = Contender(classifier)
        contender.warm_up(frame, None)

        def timed() -> float:
            contender.take_turn(frame)
            return contender.turns[-1].inference_processor_ms

        def bare() -> float:
            classifier.invoke()  # as the benchmark does before its turn
            count = len(contender.turns[-1].inference) if contender.turns else 10
            start_ns = time.thread_time_ns()
            for _ in range(count):
                classifier.invoke()
            return (time.thread_time_ns() - start_ns) / 1e6 / count

        samples = take_turns("agreement", {"timed": timed, "bare": bare}, rounds=20 if quick else 300, warmup=2)
    compared = ratio(samples["timed"], samples["bare"])
    value, low, high = (100 * (one - 1) for one in (compared.value, compared.low, compared.high))
    least = min(samples["bare"])
    return Figure(
        name="agreement.overhead",
        what="What the benchmark adds to the latency that it measures",
        value=value,
        low=low,
        high=high,
        unit="%",
        at_most=1.0,
        conditions=f"against a loop of nothing but inferences; {_NAME}, INT8, 1 thread ({least:.2f} ms at best), "
        f"{len(samples['bare'])} pairs",
    )
