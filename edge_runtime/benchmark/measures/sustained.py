"""One model at full speed for minutes: a small board without a fan is another machine after three of them."""

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
    """Classifies one frame again and again; the machine is looked at between the samples, not during them.

    Args:
        classifier: The model.
        frame: uint8 (H, W, 3) BGR.
        minutes: How long. An interrupt after the first sample ends it earlier.
        name: Of the model in the report.
        keep: Called with what there is after each sample.
        read: Tells the machine's state.

    Raises:
        KeyboardInterrupt: Before the first sample had ended.
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
    """Returns each time in milliseconds, and how long it all took in seconds."""
    times = []
    began = before = time.perf_counter()
    while before - began < seconds:
        classifier.classify(frame)
        now = time.perf_counter()
        times.append((now - before) * 1e3)
        before = now
    return times, before - began
