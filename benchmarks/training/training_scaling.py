"""Training time per stage and memory by number of photos and classes, measured in another process.

The photos are a few small drawn JPEG files, copied many times with a different comment in each, so that all files
differ. The run is a real one, with one epoch at 32 pixels and without an accuracy gate, so that its stages' times
depend on the photos and not on the network. CPU time is compared, because other programs do not change it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.harness.figure import Figure
from benchmarks.harness.inputs import ROOT, SHARED

_COUNTS = (1_000, 10_000, 100_000)
_QUICK_COUNTS = (300, 3_000)
_CLASSES = 10
_MANY_CLASSES = 10_000
_PHOTOS_OF_EACH = 4
_DRAWN = 64
_SIDE = 96
_RECIPE = {
    "model": {"input_size": 32, "weights": "auto"},
    "head": {"epochs": 2},
    "finetune": {"epochs": 1},
    "gate": {"max_drop": 100.0, "min_agreement": 0.0},
}
_PHOTO_STAGES = {
    "scan": "Reading and splitting the photos",
    "data": "That, and decoding and resizing them into the cache",
    "head": "The backbone's features, and the head on them",
    "finetune": "An epoch of fine-tuning",
    "quantize": "Calibration and conversion",
    "evaluate": "Evaluation",
}


@dataclass(frozen=True)
class Step:
    """Measurements of one stage.

    Attributes:
        processor_seconds: CPU time over all threads.
        anonymous_bytes: Peak of the process's own memory.
        file_bytes: Peak of mapped files, such as the pixel cache, which the system can reclaim.
    """

    processor_seconds: float
    anonymous_bytes: int
    file_bytes: int


def measure(quick: bool) -> list[Figure]:
    counts = _QUICK_COUNTS if quick else _COUNTS
    runs = {count: _run(count, _CLASSES) for count in counts}
    largest = counts[-1]
    peak = max(runs[largest].values(), key=lambda step: step.anonymous_bytes)
    figures = [
        Figure(
            name="training_scaling.memory",
            what=f"Memory of a run on {largest:,} photos, at most",
            value=peak.anonymous_bytes / 2**30,
            unit="GiB",
            at_most=4.0,
            conditions="the process's own, without mapped files, which the system takes back; with them "
            f"{max(step.anonymous_bytes + step.file_bytes for step in runs[largest].values()) / 2**30:.2f} GiB; "
            + "; ".join(f"{name}: {step.anonymous_bytes / 2**20:.0f} MiB" for name, step in runs[largest].items()),
        )
    ]
    for name, what in _PHOTO_STAGES.items():
        first, last = (runs[count][name].processor_seconds / count for count in (counts[-2], largest))
        points = (f"{count:,}: {run[name].processor_seconds:.1f} s" for count, run in runs.items())
        figures.append(
            Figure(
                name=f"training_scaling.{name}",
                what=f"{what}: processor time for a photo with {largest:,} photos, against {counts[-2]:,}",
                value=last / first,
                unit="×",
                at_most=1.25,
                conditions="; ".join(points) + "; JPEG of 96×96 pixels, MobileNetV2 0.35 at 32 px",
            )
        )
    return [*figures, _many_classes(100 if quick else _MANY_CLASSES)]


def _many_classes(classes: int) -> Figure:
    steps = _run(_PHOTOS_OF_EACH * classes, classes)
    return Figure(
        name="training_scaling.classes",
        what=f"Memory of a run on {classes:,} classes of {_PHOTOS_OF_EACH} photos each, at most",
        value=max(step.anonymous_bytes for step in steps.values()) / 2**30,
        unit="GiB",
        at_most=4.0,
        conditions="; ".join(
            f"{name}: {step.processor_seconds:.1f} s, {step.anonymous_bytes / 2**20:.0f} MiB"
            for name, step in steps.items()
        ),
    )


def draw_photos(folder: Path, count: int, classes: int) -> Path:
    """Create class folders with ``count`` small photos, no two of which are the same file."""
    import cv2

    draw = np.random.default_rng(0)
    encoded = []
    for _ in range(_DRAWN):
        coarse = draw.integers(0, 256, (6, 6, 3)).astype(np.uint8)
        picture = cv2.resize(coarse, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        encoded.append(cv2.imencode(".jpg", picture)[1].tobytes())
    for index in range(count):
        content, comment = encoded[index % _DRAWN], f"photo {index}".encode()
        label = folder / f"class_{index % classes:05d}"
        if index < classes:
            label.mkdir(parents=True)
        # JPEG comment (marker 0xFFFE and length) after the start of the image.
        marked = content[:2] + b"\xff\xfe" + (2 + len(comment)).to_bytes(2, "big") + comment + content[2:]
        (label / f"{index:06d}.jpg").write_bytes(marked)
    return folder


def _run(count: int, classes: int) -> dict[str, Step]:
    """Train in another process, so that its memory is measured alone."""
    with tempfile.TemporaryDirectory() as folder:
        draw_photos(Path(folder) / "photos", count, classes)
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "XDG_CACHE_HOME": f"{folder}/cache"}
        if SHARED.exists():
            environment["KERAS_HOME"] = str(SHARED / "keras")
        command = [sys.executable, "-m", "benchmarks.training.training_scaling", folder]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"Training on {count} photos failed:\n{done.stderr[-2000:]}")
        steps = json.loads(done.stdout.splitlines()[-1])
        return {name: Step(**step) for name, step in steps.items()}


def _train(folder: Path) -> dict[str, Step]:
    from trainer import Recipe, train
    from trainer.data.dataset import scan
    from trainer.runs.run import load_run, stage_records

    recipe = Recipe.from_dict(_RECIPE)
    with ProcessLog() as log:
        started = time.time()
        scan(folder / "photos", data=recipe.data, seed=0)
        steps = {"scan": log.step(started, time.time())}
        train(folder / "photos", folder / "run", recipe)
    for name, record in stage_records(load_run(folder / "run")).items():
        start = datetime.fromisoformat(record["started"]).timestamp()
        steps[name] = log.step(start, start + record["seconds"])
    return steps


class ProcessLog:
    """Samples this process's memory and CPU time, because Linux keeps no peak per type of memory."""

    def __init__(self) -> None:
        self._samples: list[tuple[float, float, int, int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def step(self, start: float, end: float) -> Step:
        """Return the measurements between two points in time."""
        times, processor, *_ = zip(*self._samples, strict=True)
        spent = np.interp((start, end), times, processor)
        seen = [sample for sample in self._samples if start <= sample[0] <= end] or self._samples[-1:]
        return Step(float(spent[1] - spent[0]), max(one[2] for one in seen), max(one[3] for one in seen))

    def __enter__(self) -> ProcessLog:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        status = Path("/proc/self/status")
        while not self._over.wait(0.05):
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            anonymous, file = (int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
            self._samples.append((time.time(), time.process_time(), anonymous, file))


if __name__ == "__main__":
    print(json.dumps({name: asdict(step) for name, step in _train(Path(sys.argv[1])).items()}))
