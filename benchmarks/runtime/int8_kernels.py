"""Speed of INT8 with the XNNPACK kernels on and off in stock tflite-runtime, and against FP32."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from benchmarks.harness.inputs import frames, need_package
from benchmarks.harness.pairs import ratio, ratio_figure, take_turns
from benchmarks.subjects.models import build_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness.figure import Figure
    from edge_runtime import BackendInfo, Classifier

_BACKBONES = {"mobilenet_v2_1.0": "MobileNetV2 1.0", "mobilenet_v2_0.35": "MobileNetV2 0.35"}
_TURN_RUNS = 5


def measure(quick: bool) -> list[Figure]:
    need_package("tflite_runtime", "tflite-runtime")
    with tempfile.TemporaryDirectory() as folder:
        return [
            figure
            for backbone, name in _BACKBONES.items()
            for figure in _compare(backbone.rpartition("_")[2], name, Path(folder), backbone, quick)
        ]


def _compare(detail: str, name: str, folder: Path, backbone: str, quick: bool) -> list[Figure]:
    from edge_runtime import Classifier

    pair = build_pair(folder, backbone)
    stock = {"backend": "tflite_runtime", "num_threads": 1}
    with ExitStack() as opened:

        def load(model: Path, **options: object) -> Classifier:
            return opened.enter_context(Classifier(model, **options))  # type: ignore[arg-type]

        classifiers = {
            "on": load(pair.int8, int8_kernels="on", **stock),
            "off": load(pair.int8, int8_kernels="off", **stock),
            "fp32": load(pair.fp32, **stock),
        }
        if find_spec("ai_edge_litert") is not None:
            litert = {"backend": "ai_edge_litert", "num_threads": 1}
            classifiers |= {"litert": load(pair.int8, **litert), "litert_fp32": load(pair.fp32, **litert)}
        frame = frames(1)[0]
        for classifier in classifiers.values():
            classifier.classify(frame)
        samples = take_turns(
            f"int8_kernels {name}",
            {key: _turn(classifier) for key, classifier in classifiers.items()},
            rounds=12 if quick else 200,
            warmup=2,
        )
        backends = {key: classifier.backend for key, classifier in classifiers.items()}
    times = {key: median(values) for key, values in samples.items()}

    def figure(kind: str, what: str, faster: str, slower: str, at_least: float | None = None) -> Figure:
        return ratio_figure(
            f"int8_kernels.{detail}_{kind}",
            f"{what} ({name}, 224 px)",
            ratio(samples[slower], samples[faster]),
            at_least=at_least,
            conditions=f"{times[faster]:.2f} ms{_delegated(backends[faster])} against {times[slower]:.2f} ms"
            f"{_delegated(backends[slower])}, 1 thread, {len(samples[faster])} pairs",
        )

    figures = [
        figure("switch", "Speed of INT8 with the kernels on, against off", "on", "off", 8.0 if _has_avx512() else None),
        figure("fp32", "Speed of INT8 with the kernels on, against FP32", "on", "fp32"),
    ]
    if "litert" in samples:
        figures.append(figure("litert", "Speed of INT8 in LiteRT, against its FP32", "litert", "litert_fp32"))
    return figures


def _delegated(backend: BackendInfo) -> str:
    if backend.delegated_ops is None:
        return ""
    return f" ({backend.delegated_ops} of {backend.total_ops} operations delegated)"


def _turn(classifier: Classifier) -> Callable[[], float]:
    """Return a function that measures one inference in ms: the median of a few, after one that fills the caches."""

    def run() -> float:
        classifier.invoke()
        times = []
        for _ in range(_TURN_RUNS):
            start = perf_counter()
            classifier.invoke()
            times.append((perf_counter() - start) * 1e3)
        return median(times)

    return run


def _has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
