"""Whether figures say something about the models: what makes a run invalid, and what only deserves a warning."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge_runtime.device.machine import Machine, read_busy_s

if TYPE_CHECKING:
    from edge_runtime.benchmark.report import ModelResult

SPARE_CORES = 0.15
"""What may be missing from a core for every thread before a run is invalid: a desktop's and a kernel's housekeeping."""

MOST_TIMER_SHARE = 0.01
LITTLE_MEMORY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class LoadMeter:
    """Tells how much of the machine other programs took since the meter was made."""

    started: float
    busy_s: float | None
    own_s: float

    @classmethod
    def start(cls) -> LoadMeter:
        """Begins to measure."""
        return cls(time.monotonic(), read_busy_s(), _own_s())

    def others_cores(self) -> float | None:
        """On average since the start; None where the system doesn't tell."""
        busy_s, own_s, elapsed = read_busy_s(), _own_s(), time.monotonic() - self.started
        # The kernel counts in hundredths of a second.
        if busy_s is None or self.busy_s is None or elapsed < 0.2:
            return None
        return max(0.0, (busy_s - self.busy_s) - (own_s - self.own_s)) / elapsed


def invalid_reasons(before: Machine, after: Machine, others_cores: float | None, threads: int) -> Iterator[str]:
    """Why the figures are those of this moment and not of the models.

    Args:
        before: The machine at the first round.
        after: The machine at the last.
        others_cores: That other programs took meanwhile; None where the system doesn't tell.
        threads: The most that a model used.
    """
    throttled = tuple(dict.fromkeys((before.throttled or ()) + (after.throttled or ())))
    if throttled:
        yield f"the board slowed itself down ({', '.join(throttled)}): see to its power supply and its cooling"
    if before.on_battery or after.on_battery:
        yield "it ran on its battery, which slows most machines down: plug it in"
    if others_cores is not None and before.cores - others_cores < threads - SPARE_CORES:
        yield (
            f"other programs took {others_cores:.1f} of {before.cores} cores, which leaves less than the {threads} "
            "needed: close them, or use fewer threads"
        )


def machine_warnings(machine: Machine, others_cores: float | None) -> Iterator[str]:
    """What makes figures worse than they need be on a machine that may well be measured on."""
    # What holds for the moments before the run is said better by what was measured during it.
    yield from replace(machine, throttled=None, load=None).warnings()
    if others_cores is not None and others_cores > 0.2:
        yield f"Other programs took {others_cores:.1f} of {machine.cores} cores: figures vary more than they need."
    if machine.throttled_since_boot and not machine.throttled:
        yield f"Since its start the board has slowed itself down before ({', '.join(machine.throttled_since_boot)})."
    available = machine.memory_available_bytes
    if available is not None and available < LITTLE_MEMORY_BYTES:
        yield f"Only {available / 2**20:.0f} MiB of memory are free: a swapping machine measures its disk."


def model_warnings(machine: Machine, results: Sequence[ModelResult], timer_ms: float) -> Iterator[str]:
    """What makes a model slower than it need be here, or the comparison of two unfair."""
    for result in results:
        backend = result.backend
        if result.precision == "INT8":
            yield from _int8_warnings(machine, result)
        elif backend.delegated_ops == 0:
            yield f"{result.name}: XNNPACK took none of its operations: it runs on the slow kernels."
        if not result.steady:
            yield f"{result.name}: its latency wasn't steady after {result.warmup_runs} runs: other things go on."
        if timer_ms > MOST_TIMER_SHARE * result.inference.p50_ms:
            yield f"{result.name} is so fast that reading the clock ({1e3 * timer_ms:.1f} µs) is more than 1% of it."
    int8 = [result for result in results if result.precision == "INT8" and result.backend.delegated_ops != 0]
    if int8 and machine.features and not machine.has_int8_instructions:
        yield (
            f"This processor has no dot product of 8-bit integers ({', '.join(machine.features)}), so INT8 gains less "
            "than on one that has, such as a Raspberry Pi 5's."
        )
    files = [*{result.path: result for result in reversed(results)}.values()][::-1]  # the first row of each
    for result in files[1:]:
        yield from _differences(files[0], result)


def _int8_warnings(machine: Machine, result: ModelResult) -> Iterator[str]:
    backend = result.backend
    if backend.int8_kernels == "off":
        yield (
            f"{result.name}: INT8 RUNS WITHOUT ACCELERATION: {backend.int8_kernels_reason}. "
            + ("--int8-kernels on" if "switched off" in backend.int8_kernels_reason else _other_build(machine))
            + " would change it."
        )
    elif backend.delegated_ops == 0:
        yield (
            f"{result.name}: INT8 RUNS WITHOUT ACCELERATION: XNNPACK took none of its operations. "
            f"{_other_build(machine)} would change it, or a model of plain convolutions."
        )


def _other_build(machine: Machine) -> str:
    if machine.architecture.startswith("armv"):
        return "A 64-bit system (the 32-bit wheel has no XNNPACK)"
    return "tflite-runtime 2.14.0, or LiteRT (pip install 'edge-image-sdk[litert]'),"


def _differences(first: ModelResult, other: ModelResult) -> Iterator[str]:
    size, other_size = ((one.input_height, one.input_width) for one in (first, other))
    if size != other_size:
        yield (
            f"{first.name} takes {size[0]}×{size[1]} pixels and {other.name} {other_size[0]}×{other_size[1]}: "
            "their speeds aren't those of the same task."
        )
    if first.classes != other.classes:
        yield (
            f"{first.name} and {other.name} don't know the same classes: they aren't the same task: "
            f"{_class_difference(first.classes, other.classes)}."
        )


def _class_difference(first: tuple[str, ...], other: tuple[str, ...]) -> str:
    if len(first) != len(other):
        return f"{len(first)} against {len(other)}"
    if sorted(first) == sorted(other):
        return "the same names in another order"
    only, theirs = sorted({*first} - {*other}), sorted({*other} - {*first})
    return f"{_some(only)} against {_some(theirs)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _own_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
