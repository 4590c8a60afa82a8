"""Live loop: frame rate against bare inference, and frame rate and latency at a camera's pace."""

from __future__ import annotations

import tempfile
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure, MissingInputError
from benchmarks.harness.inputs import FRAME_SIZE, need_second_core, video
from benchmarks.harness.pairs import per_second, ratio, ratio_figure, take_turns
from benchmarks.subjects.models import build_pair

if TYPE_CHECKING:
    from edge_runtime import Classifier

_BACKBONE = "mobilenet_v2_1.0"
_BUSY_SIZE, _CAMERA_SIZE = 320, 224  # slow enough for a ratio, and fast enough for a camera's pace
_NAME = "MobileNetV2 1.0, {} px, FP32, 1 thread"
_CAMERA_FPS = 30.0


def measure(quick: bool) -> list[Figure]:
    from edge_runtime import Classifier

    need_second_core("the capture thread")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        busy, fast = (build_pair(folder, _BACKBONE, size).fp32 for size in (_BUSY_SIZE, _CAMERA_SIZE))
        with Classifier(busy, num_threads=1) as classifier:
            figures = [_against_bare(classifier, folder, quick)]
        with Classifier(fast, num_threads=1) as classifier:
            return [*figures, *_at_camera_pace(classifier, quick)]


def _against_bare(classifier: Classifier, folder: Path, quick: bool) -> Figure:
    path, description = video(folder)
    seconds = 0.7 if quick else 2.0

    def live_fps() -> float:
        from edge_runtime import live, open_source

        results = live(classifier, open_source(path, loop=True), top_k=1)
        for _ in islice(results, 10):  # without the start of the decoder
            pass
        fps = per_second(lambda: next(results), seconds)
        results.close()
        return fps

    def bare_fps() -> float:
        return per_second(classifier.invoke, seconds)

    samples = take_turns("live", {"live": live_fps, "bare": bare_fps}, rounds=4 if quick else 20, warmup=1)
    inference_ms, name = 1000 / median(samples["bare"]), _NAME.format(_BUSY_SIZE)
    if inference_ms < 5:
        raise MissingInputError(f"needs a network of 5 ms or more; this machine runs {name} in {inference_ms:.1f} ms")
    return ratio_figure(
        "live.video",
        "Frame rate of the live loop on a video file, against bare inference",
        ratio(samples["live"], samples["bare"]),
        at_least=0.9,
        conditions=f"{median(samples['live']):.1f} against {median(samples['bare']):.1f} fps, {name} "
        f"({inference_ms:.1f} ms), {description}, {len(samples['live'])} pairs of {seconds:g} s",
    )


def _at_camera_pace(classifier: Classifier, quick: bool) -> list[Figure]:
    from edge_runtime import live
    from edge_runtime.sources.synthetic import SyntheticSource

    count = 90 if quick else 900
    source = SyntheticSource(size=FRAME_SIZE, fps=_CAMERA_FPS, pace="realtime", count=count)
    results = [(time.perf_counter(), result) for result in live(classifier, source, top_k=1)][5:]
    fps = (len(results) - 1) / (results[-1][0] - results[0][0])
    age_ms = median(result.age_ms for _, result in results)
    inference_ms = median(result.prediction.inference_ms for _, result in results)
    dropped = results[-1][1].counters.dropped
    network = _NAME.format(_CAMERA_SIZE)
    conditions = f"{network}, 640×480 at {_CAMERA_FPS:g} fps, {len(results)} frames, {dropped} dropped"
    return [
        Figure("live.camera_fps", "Frame rate at a camera's pace", fps, "fps", conditions, at_least=29.7),
        Figure(
            "live.camera_age",
            "Age of a frame when it is decided, beyond one inference",
            age_ms - inference_ms,
            "ms",
            f"{age_ms:.1f} ms against {inference_ms:.1f} ms of inference p50; {conditions}",
            at_most=5.0,
        ),
    ]
