"""Web server: effect of viewers on the live loop, and throughput of ``/predict``."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import ROOT, SCRIPTS, frames, need_package, need_second_core, video
from benchmarks.harness.pairs import per_second, ratio, ratio_figure, take_turns
from benchmarks.subjects.models import build_pair

_VIEWERS = 10
_CLIENTS = 8
_PICTURES = 8
_LIVE_MODEL = "MobileNetV2 1.0, 320 px, FP32, 1 thread"
_PREDICT_MODEL = "MobileNetV2 1.0, 224 px, INT8, 1 thread"


def measure(quick: bool) -> list[Figure]:
    need_package("uvicorn", "the extra [server]")
    need_second_core("the server beside the network")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [_with_viewers(folder, quick), _predict(folder, quick)]


def _with_viewers(folder: Path, quick: bool) -> Figure:
    model = build_pair(folder, "mobilenet_v2_1.0", 320).fp32
    clip, description = video(folder)
    seconds = 1.0 if quick else 3.0
    with _serving(model, "--source", clip, "--pace", "fast") as port:

        def classified() -> tuple[float, float]:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:  # nosec B310 # an address of ours
                text = answer.read().decode()
            (count,) = re.findall(r'^edge_runtime_frames_total{fate="classified"} (\S+)$', text, re.MULTILINE)
            return float(count), time.perf_counter()

        def fps() -> float:
            before, start = classified()
            time.sleep(seconds)
            after, end = classified()
            return (after - before) / (end - start)

        def watched_fps() -> float:
            with _watching(port):
                return fps()

        contenders = {"watched": watched_fps, "alone": fps}
        samples = take_turns("server viewers", contenders, rounds=4 if quick else 20, warmup=1)
    return ratio_figure(
        "server.viewers",
        f"Frame rate of the live loop with {_VIEWERS} viewers, against none",
        ratio(samples["watched"], samples["alone"]),
        at_least=0.9,
        conditions=f"{median(samples['watched']):.1f} against {median(samples['alone']):.1f} fps, {_LIVE_MODEL}, "
        f"{description}, as fast as it goes, viewers in another process on the same machine, "
        f"{len(samples['alone'])} pairs of {seconds:g} s",
    )


def _predict(folder: Path, quick: bool) -> Figure:
    import cv2
    import numpy as np

    from edge_runtime import Classifier

    model = build_pair(folder, "mobilenet_v2_1.0").int8
    pictures = [folder / f"{index}.jpg" for index in range(_PICTURES)]
    for picture, frame in zip(pictures, frames(_PICTURES), strict=True):
        cv2.imwrite(str(picture), frame)
    files = [np.frombuffer(picture.read_bytes(), np.uint8) for picture in pictures]
    seconds = 1.0 if quick else 3.0
    with _serving(model, "--source", "none") as port, Classifier(model, num_threads=1) as classifier:

        def sent() -> float:
            command = [sys.executable, SCRIPTS / "send.py", "127.0.0.1", port, _CLIENTS, seconds, *pictures]
            done = subprocess.run([*map(str, command)], capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"/predict failed:\n{done.stderr}")
            return float(done.stdout)

        def in_a_loop() -> float:
            next_file = cycle(files)
            return per_second(lambda: classifier.classify(cv2.imdecode(next(next_file), cv2.IMREAD_COLOR)), seconds)

        contenders = {"sent": sent, "loop": in_a_loop}
        samples = take_turns("server predict", contenders, rounds=4 if quick else 20, warmup=1)
    size = sum(map(len, files)) / len(files) / 1024
    return ratio_figure(
        "server.predict",
        f"Rate of `POST /predict` with {_CLIENTS} clients, against `classify` on decoded JPEG in a loop",
        ratio(samples["sent"], samples["loop"]),
        at_least=0.8,
        conditions=f"{median(samples['sent']):.1f} against {median(samples['loop']):.1f} pictures a second, "
        f"{_PREDICT_MODEL}, 640×480 JPEG of {size:.0f} KiB decoded by both, clients in another process on the same "
        f"machine, {len(samples['loop'])} pairs of {seconds:g} s",
    )


@contextmanager
def _serving(model: Path, *arguments: object) -> Iterator[int]:
    """Run a server in another process, and yield its port."""
    given = [model, "--num-threads", 1, "--port", 0, *arguments]
    command = [sys.executable, "-m", "edge_runtime", "serve", *map(str, given)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            said = []
            for line in server.stderr:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                    yield int(found[1])
                    break
            else:
                raise RuntimeError(f"The server ended:\n{''.join(said)}")
        finally:
            server.terminate()


@contextmanager
def _watching(port: int) -> Iterator[None]:
    """Run viewers in another process, and wait until each has received a picture."""
    command = [sys.executable, SCRIPTS / "watch.py", "127.0.0.1", port, _VIEWERS]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([*map(str, command)], **pipes) as viewers:  # type: ignore[call-overload]
        try:
            if viewers.stdout.readline() != "all see a picture\n":
                raise RuntimeError(f"The server disconnected some of the {_VIEWERS} viewers.")
            yield
            viewers.stdin.close()
            if int(viewers.stdout.readline() or 0) == 0:
                raise RuntimeError(f"The server disconnected some of the {_VIEWERS} viewers during the measurement.")
        finally:
            viewers.kill()
