"""Find the best number of threads for a model on this machine."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_runtime.benchmark.report import ThreadSweep, ThreadTrial
from edge_runtime.benchmark.timing.contender import Contender
from edge_runtime.benchmark.timing.rounds import StoppingRule, run_rounds
from edge_runtime.benchmark.timing.statistics import summarize
from edge_runtime.benchmark.timing.validity import LoadMeter, invalid_reasons
from edge_runtime.device.machine import describe_machine
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.device_cache import remember_threads, usable_cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge_runtime.inference.options import ClassifierOptions

MOST_THREADS = 8
ENOUGH = 1.05
"""Latency relative to the fastest that is still good enough, because fewer threads leave cores for other work."""


def sweep_threads(
    options: ClassifierOptions, frame: NDArray[np.uint8], *, seconds: float = 5.0, seed: int = 0
) -> ThreadSweep:
    """Measure a model with each number of threads in turns, and save the best number as default of `Classifier`.

    The run with all cores is measured but never chosen. The kernels' threads wait for one another by spinning, so with
    capture or other work on the last core an inference can take many times as long.

    Args:
        options: Model to measure and its settings.
        frame: Frame for the warm-up, uint8 (H, W, 3) BGR, 0–255.
        seconds: Duration of the measurement.
        seed: Seed of the order of turns.

    Raises:
        ModelError: The model file is unusable.
        BackendError: The model cannot be run.
    """
    cores = usable_cores()
    numbers = range(1, min(cores, MOST_THREADS) + 1)
    with ExitStack() as opened:
        classifiers = (Classifier.from_options(replace(options, num_threads=number)) for number in numbers)
        contenders = [Contender(opened.enter_context(classifier)) for classifier in classifiers]
        for contender in contenders:
            contender.warm_up(frame, None)
        before, load = describe_machine(), LoadMeter.start()
        run_rounds(contenders, frame, StoppingRule(seconds), random.Random(seed))
        trials = tuple(
            ThreadTrial(number, summarize(contender.times("inference"), seed=seed))
            for number, contender in zip(numbers, contenders, strict=True)
        )
        best = best_threads(trials, cores)
        problems = [*invalid_reasons(before, describe_machine(), load.others_cores(), best)]
        model, backend = contenders[0].classifier.model, contenders[0].classifier.backend
    remembered = not problems and remember_threads(model.sha256, backend.name, backend.version, best)
    return ThreadSweep(model.path.name, f"{backend.name} {backend.version}", trials, best, remembered)


def best_threads(trials: tuple[ThreadTrial, ...], cores: int) -> int:
    """Return the smallest number of threads that is within `ENOUGH` of the fastest and leaves a core free."""
    allowed = [trial for trial in trials if trial.num_threads <= max(1, cores - 1)]
    fastest = min(trial.inference.p50_ms for trial in allowed)
    return min(trial.num_threads for trial in allowed if trial.inference.p50_ms <= ENOUGH * fastest)
