"""Overhead of `Classifier.classify` beyond inference, against a minimal hand-written loop for the same model."""

from __future__ import annotations

import sys
import tempfile
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.harness.figure import Figure, MissingInputError
from benchmarks.harness.inputs import frames, need_package, shared
from benchmarks.harness.pairs import ratio, ratio_figure, take_turns
from benchmarks.subjects.models import build_pair

if TYPE_CHECKING:
    from benchmarks.subjects.hand_loops import PlainUint8Loop, TrainedModelLoop

_FRAMES = 8


def measure(quick: bool) -> list[Figure]:
    need_package("tflite_runtime", "tflite-runtime")
    from benchmarks.subjects.hand_loops import PlainUint8Loop, TrainedModelLoop

    with tempfile.TemporaryDirectory() as folder:
        trained = build_pair(Path(folder), "mobilenet_v2_0.35").int8
        figures = [_compare("trained", "MobileNetV2 0.35, 224 px, INT8", trained, TrainedModelLoop(trained), quick)]
    try:
        third_party = shared("data/models/mobilenet_v1_0.25_224_quant.tflite")
    except MissingInputError as reason:
        print(f"classify_overhead.third_party: skipped, {reason}", file=sys.stderr)
        return figures
    name = "third-party MobileNetV1 0.25, 224 px, uint8"
    return [*figures, _compare("third_party", name, third_party, PlainUint8Loop(third_party), quick)]


def _compare(detail: str, name: str, model: Path, loop: TrainedModelLoop | PlainUint8Loop, quick: bool) -> Figure:
    from edge_runtime import Classifier

    classifier = Classifier(model, backend="tflite_runtime", num_threads=1, int8_kernels="on")
    pictures = frames(_FRAMES)
    for picture in pictures:
        top = classifier.classify(picture, top_k=1).categories[0]
        index, score, _ = loop(picture)
        if top.index != index or abs(top.score - score) > 1e-6:
            raise AssertionError(f"The classifier and the loop disagree: {top} and {(index, score)}.")

    # Both contenders classify the same picture in each pair.
    ours, by_hand = cycle(pictures), cycle(pictures)

    def classify() -> float:
        picture = next(ours)
        start = perf_counter()
        prediction = classifier.classify(picture, top_k=1)
        return (perf_counter() - start) * 1e3 - prediction.inference_ms

    def run_loop() -> float:
        picture = next(by_hand)
        start = perf_counter()
        _, _, inference_ms = loop(picture)
        return (perf_counter() - start) * 1e3 - inference_ms

    samples = take_turns(
        f"classify_overhead {detail}",
        {"ours": classify, "hand": run_loop},
        rounds=400 if quick else 8000,
        warmup=50,
    )
    return ratio_figure(
        f"classify_overhead.{detail}",
        f"`classify` beyond bare inference, against a hand-written loop ({name})",
        ratio(samples["ours"], samples["hand"]),
        at_most=1.0,
        conditions=f"{median(samples['ours']):.3f} ms against {median(samples['hand']):.3f} ms p50 on 640×480 frames, "
        f"best class, 1 thread, {len(samples['ours'])} pairs",
    )
