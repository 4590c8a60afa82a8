"""Capture in the live loop: age of frames, recovery after a disconnect, and behavior under a thousand faults."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from itertools import count, islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import FRAME_SIZE, ROOT, need_second_core
from benchmarks.subjects.models import build_pair
from edge_runtime.benchmark.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.subjects.faults import Holdings
    from edge_runtime import Classifier
    from edge_runtime.sources.faulty import Fault

_SLOWER = 5
_MIB = 1 << 20
_NAME = "MobileNetV2 1.0, 224 px, INT8"


def measure(quick: bool) -> list[Figure]:
    import logging

    from edge_runtime import Classifier

    need_second_core("the capture thread")
    logging.getLogger("edge_runtime").setLevel(logging.ERROR)  # lost cameras are intended
    with tempfile.TemporaryDirectory() as name:
        model = build_pair(Path(name), "mobilenet_v2_1.0").int8
        # The stock wheel's kernels make the network as slow as on a small computer.
        with Classifier(model, num_threads=1, int8_kernels="off") as slow:
            figures = [_age(slow, quick)]
        with Classifier(model, num_threads=1) as classifier:
            figures += [*_recovery(classifier, quick), *_faults(classifier, quick), *_growth(classifier, quick)]
        return [*figures, _memory(model, quick)]


def _age(classifier: Classifier, quick: bool) -> Figure:
    from benchmarks.harness.inputs import frames
    from edge_runtime import live
    from edge_runtime.sources.faulty import FaultySource
    from edge_runtime.sources.synthetic import SyntheticSource

    picture = frames(1)[0]
    inference_ms = median(classifier.classify(picture).inference_ms for _ in range(5 if quick else 20))
    fps = _SLOWER * 1000 / inference_ms
    camera = FaultySource(SyntheticSource(size=FRAME_SIZE, fps=fps, pace="realtime"), [])  # live, without a fault
    results = live(classifier, camera, top_k=1)
    samples = list(islice(results, 3, 20 if quick else 300))
    results.close()
    waited = sorted((result.age_ms - result.prediction.inference_ms) * fps / 1000 for result in samples)
    return Figure(
        name="capture.age",
        what=f"Age of a frame when it is decided, beyond one inference, with a model {_SLOWER} times slower than the "
        "camera: in frame intervals, 99th percentile",
        value=waited[int(0.99 * (len(waited) - 1))],
        unit="intervals",
        at_most=1.5,
        conditions=f"median {median(waited):.2f}, most {waited[-1]:.2f}; {len(samples)} frames; {_NAME}, kernels off, "
        f"1 thread ({inference_ms:.0f} ms), 640×480 at {fps:.0f} fps ({1000 / fps:.1f} ms)",
    )


def _recovery(classifier: Classifier, quick: bool) -> list[Figure]:
    from benchmarks.subjects.faults import StampedCamera
    from edge_runtime import live
    from edge_runtime.sources.faulty import FaultySource

    returns = 3 if quick else 40
    # Absences as long as each delay between two attempts, and longer than all of them.
    absences = _disconnects(apart=10, seconds=[0.1, 0.35, 0.8, 1.3, 2.1, 3.4])
    camera = FaultySource(StampedCamera(fps=30.0, size=FRAME_SIZE), absences)
    results = live(classifier, camera, top_k=1)
    taken: list[float] = []
    with Progress("recovery") as progress:
        for result in results:
            if result.counters.reconnects > len(taken):
                taken.append(time.monotonic() - camera.back_at)
                progress.update(len(taken) / returns)
            if len(taken) == returns:
                break
    results.close()
    conditions = f"{returns} returns after 0.1 to 3.4 s, camera at 30 fps, {_NAME}, 1 thread"
    return [
        Figure(
            "capture.recovery_most",
            "From a camera's return to its first decision, at most",
            max(taken),
            "s",
            f"{conditions}; median {median(taken):.2f} s",
            at_most=1.0,
        ),
    ]


def _faults(classifier: Classifier, quick: bool) -> list[Figure]:
    from benchmarks.subjects.faults import mixed_faults, run_faults
    from edge_runtime.live_loop.capture import CaptureRules

    number = 60 if quick else 1000
    schedule = mixed_faults(rate=0.1, seconds=0.03, seed=0, stall_s=0.6)
    rules = CaptureRules(stall_timeout_s=0.3, freeze_timeout_s=0.04)
    run, crashes = None, 0
    try:
        run = run_faults(classifier, schedule, count=number, rules=rules, fps=200.0)
    except Exception as error:  # counted as a figure
        print(f"capture: {error!r}", file=sys.stderr)
        crashes = 1
    figures = [
        Figure(
            "capture.faults_crashes",
            f"Times that the live loop ended in {number} scheduled faults",
            crashes,
            "times",
            f"drops, stalls, freezes, garbage, disconnects; {_NAME}, 1 thread, camera at 200 fps",
            at_most=0,
        )
    ]
    if run is not None:
        conditions = f"{run.faults} faults, {run.results} frames classified, {run.reconnects} reconnects, "
        conditions += f"{run.seconds:.0f} s"
        figures += [
            Figure(
                "capture.faults_wrong",
                "Frames classified in them that were stale, repeated or invented",
                run.wrong,
                "frames",
                conditions,
                at_most=0,
            ),
            Figure(
                "capture.faults_uncounted",
                "Frames and reconnects in them by which the counters are wrong",
                run.uncounted,
                "frames",
                conditions,
                at_most=0,
            ),
        ]
    return figures


def _growth(classifier: Classifier, quick: bool) -> list[Figure]:
    from benchmarks.subjects.faults import Holdings, impatient, run_faults
    from edge_runtime.live_loop.capture import CaptureRules
    from edge_runtime.sources.faulty import Fault

    reconnects = 1000 if quick else 15_000
    samples: list[tuple[int, Holdings]] = []

    def schedule() -> Iterator[Fault]:
        for index, fault in enumerate(_disconnects(apart=3, seconds=[0.0])):
            # Some hang for longer than the timeout; the threads left behind must end.
            yield Fault("stall", fault.at, 0.5) if index % 100 == 50 else fault

    began = time.monotonic()
    with Progress("growth") as progress, impatient():

        def look(number: int) -> None:
            if not samples or number >= samples[-1][0] + reconnects // 100:
                samples.append((number, Holdings.now()))
                progress.update(number / reconnects)

        run = run_faults(
            classifier,
            schedule(),
            count=reconnects,
            rules=CaptureRules(stall_timeout_s=0.1),
            size=FRAME_SIZE,
            on_result=look,
        )
    held = [sample for _, sample in samples]
    growth = Holdings.growth(held)
    conditions = (
        f"{run.reconnects} reconnects, 1 in 100 after a hanging read, {run.results} frames of 640×480 in "
        f"{time.monotonic() - began:.0f} s; the medians of the third quarter and of the last"
    )

    return [
        Figure(
            "capture.growth_memory",
            "Growth of the live loop's memory while a camera goes and comes",
            growth.memory_bytes / _MIB,
            "MiB",
            f"{held[-1].memory_bytes / _MIB:.1f} MiB in the end; {conditions}",
            at_most=2,
        ),
        Figure("capture.growth_threads", "Growth of its threads", growth.threads, "threads", conditions, at_most=0),
        Figure("capture.growth_files", "Growth of its open files", growth.files, "files", conditions, at_most=0),
    ]


def _memory(model: Path, quick: bool) -> Figure:
    seconds = 4 if quick else 60
    command = [sys.executable, "-m", "edge_runtime", "run", str(model), "--source", "faulty:garbage@0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        samples = []
        for _ in range(seconds):
            time.sleep(1)
            samples.append(_resident_bytes(child.pid))
            if child.poll() is not None:
                raise RuntimeError(f"'edge-runtime run' ended early with status {child.returncode}.")
    finally:
        child.terminate()
        child.wait()
    steady = samples[len(samples) // 2 :]
    return Figure(
        name="capture.memory",
        what="Memory of `edge-runtime run` at steady state, without a server",
        value=max(steady) / 1e6,
        unit="MB",
        at_most=120,
        conditions=f"most in the second half of {seconds} s; {_NAME}, default threads, live camera, 640×480 at 30 fps",
    )


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"Process {pid} has ended.")


def _disconnects(*, apart: int, seconds: list[float]) -> Iterator[Fault]:
    from edge_runtime.sources.faulty import Fault

    return (Fault("disconnect", apart * number, seconds[number % len(seconds)]) for number in count(1))
