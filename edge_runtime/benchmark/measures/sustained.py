"""One model at full speed for minutes, to show thermal throttling, which takes minutes on a board without a fan."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge_runtime.benchmark.progress import Progress
from edge_runtime.benchmark.report import Sample, Sustained
from edge_runtime.device.machine import State, read_state

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inference.classifier import Classifier

SAMPLES = 120
SHORTEST_SAMPLE_S = 1.0


def sustain(
    classifier: Classifier,
    frame: NDArray[np.uint8],
    *,
    minutes: float,
    name: str,
    keep: Callable[[Sustained], None] = lambda so_far: None,
    read: Callable[[], State] = read_state,
) -> Sustained:
    """Classify one frame continuously, and read temperature and clock between samples.

    Args:
        classifier: Model to run.
        frame: Frame to classify, uint8 (H, W, 3) BGR, 0–255.
        minutes: Duration. An interrupt after the first sample ends the run early.
        name: Name of the model in the report.
        keep: Called with the samples so far, after each sample.
        read: Function that returns the machine's state.

    Raises:
        KeyboardInterrupt: Interrupted before the first sample was complete.
    """
    import numpy as np

    seconds = 60 * minutes
    length = max(SHORTEST_SAMPLE_S, seconds / SAMPLES)
    started = time.monotonic()
    samples: list[Sample] = []
    try:
        with Progress("sustained") as progress:
            while not samples or samples[-1].seconds < seconds - length / 2:
                progress.update((time.monotonic() - started) / seconds)
                times, took = _classify_for(classifier, frame, length)
                state = read()
                samples.append(
                    Sample(
                        seconds=time.monotonic() - started,
                        fps=len(times) / took,
                        p99_ms=float(np.percentile(times, 99)),
                        temperature_c=state.temperature_c,
                        clock_mhz=state.clock_mhz,
                        throttled=state.throttled,
                    )
                )
                keep(Sustained(name, tuple(samples)))
    except KeyboardInterrupt:
        if not samples:
            raise
    return Sustained(name, tuple(samples))


def _classify_for(classifier: Classifier, frame: NDArray[np.uint8], seconds: float) -> tuple[list[float], float]:
    """Return the latency of each run in milliseconds, and the total time in seconds."""
    times = []
    began = before = time.perf_counter()
    while before - began < seconds:
        classifier.classify(frame)
        now = time.perf_counter()
        times.append((now - before) * 1e3)
        before = now
    return times, before - began
