"""Load time, cold start and peak memory of each model, measured in fresh processes.

A model that crashes the interpreter or exhausts memory does so in its own process and becomes one failure.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edge_runtime.benchmark.measures.first_result import FirstResult, first_result
from edge_runtime.benchmark.report import Start
from edge_runtime.errors import BackendError

if TYPE_CHECKING:
    import random

    from edge_runtime.inference.options import ClassifierOptions


def measure_starts(
    models: Sequence[ClassifierOptions], processes: int, *, height: int, width: int, order: random.Random
) -> list[Start | BackendError | None]:
    """Start several processes per model, round by round and in random order.

    Args:
        models: Models to measure.
        processes: Number of processes per model.
        height: Height of the classified frame, in pixels.
        width: Width of the classified frame, in pixels.
        order: Random generator that shuffles each round.

    Returns:
        Medians for each model, or the error of its first failed process; None if ``processes`` is 0.
    """
    found: list[list[FirstResult]] = [[] for _ in models]
    errors: dict[int, BackendError] = {}
    for _ in range(processes):
        for index in order.sample(range(len(models)), len(models)):
            if index not in errors:
                try:
                    found[index].append(first_result(models[index], height=height, width=width))
                except BackendError as error:
                    errors[index] = error
    return [errors.get(index) or (_median(results) if results else None) for index, results in enumerate(found)]


def _median(results: Sequence[FirstResult]) -> Start:
    return Start(
        processes=len(results),
        load_ms=statistics.median(one.load_ms for one in results),
        first_ms=statistics.median(one.first_ms for one in results),
        cold_start_ms=statistics.median(one.cold_start_ms for one in results),
        peak_bytes=round(statistics.median(one.peak_bytes for one in results)),
    )
