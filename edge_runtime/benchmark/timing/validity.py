"""Validity of a run: what makes it invalid, and what only deserves a warning."""

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
"""Share of a core that may be missing before a run is invalid, for housekeeping of the desktop and the kernel."""

MOST_TIMER_SHARE = 0.01
LITTLE_MEMORY_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class LoadMeter:
    """Measures how many cores other programs use."""

    started: float
    busy_s: float | None
    own_s: float

    @classmethod
    def start(cls) -> LoadMeter:
        """Start measuring."""
        return cls(time.monotonic(), read_busy_s(), _own_s())

    def others_cores(self) -> float | None:
        """Return the average number of cores since the start, or None if unknown."""
        busy_s, own_s, elapsed = read_busy_s(), _own_s(), time.monotonic() - self.started
        # The kernel counts in hundredths of a second.
        if busy_s is None or self.busy_s is None or elapsed < 0.2:
            return None
        return max(0.0, (busy_s - self.busy_s) - (own_s - self.own_s)) / elapsed


def invalid_reasons(before: Machine, after: Machine, others_cores: float | None, threads: int) -> Iterator[str]:
    """Yield reasons why the figures reflect the state of the machine rather than the models.

    Args:
        before: Machine at the first round.
        after: Machine at the last round.
        others_cores: Average number of cores that other programs used; None if unknown.
        threads: Largest number of threads that a model used.
    """
    throttled = tuple(dict.fromkeys((before.throttled or ()) + (after.throttled or ())))
    if throttled:
        yield f"the board was throttled ({', '.join(throttled)}): improve its power supply and cooling"
    if before.on_battery or after.on_battery:
        yield "the machine ran on battery power, which slows most machines down: plug it in"
    if others_cores is not None and before.cores - others_cores < threads - SPARE_CORES:
        yield (
            f"other programs used {others_cores:.1f} of {before.cores} cores, leaving too little for {threads} "
            f"thread{'s: close them, or use fewer threads' if threads > 1 else ': close them'}"
        )


def machine_warnings(machine: Machine, others_cores: float | None) -> Iterator[str]:
    """Yield reasons why the figures of a valid run may be worse than necessary."""
    # Throttling and load of the time before the run are left out: they were measured during the run.
    yield from replace(machine, throttled=None, load=None).warnings()
    if others_cores is not None and others_cores > 0.2:
        yield f"Other programs used {others_cores:.1f} of {machine.cores} cores, so the figures vary more."
    if machine.throttled_since_boot and not machine.throttled:
        yield f"The board has been throttled since boot, but not now ({', '.join(machine.throttled_since_boot)})."
    available = machine.memory_available_bytes
    if available is not None and available < LITTLE_MEMORY_BYTES:
        yield f"Only {available / 2**20:.0f} MiB of memory are free; if the machine swaps, latencies are meaningless."


def model_warnings(machine: Machine, results: Sequence[ModelResult], timer_ms: float) -> Iterator[str]:
    """Yield reasons why a model is slower than necessary on this machine, or a comparison is unfair."""
    for result in results:
        backend = result.backend
        if result.precision == "INT8":
            yield from _int8_warnings(machine, result)
        elif backend.delegated_ops == 0:
            yield f"{result.name}: no operators are delegated to XNNPACK, so the slow built-in kernels run them."
        if not result.steady:
            yield f"{result.name}: latency was still not steady after {result.warmup_runs} warm-up runs."
        if timer_ms > MOST_TIMER_SHARE * result.inference.p50_ms:
            yield f"{result.name}: timer overhead ({1e3 * timer_ms:.1f} µs) exceeds 1% of the inference latency."
    int8 = [result for result in results if result.precision == "INT8" and result.backend.delegated_ops != 0]
    if int8 and machine.features and not machine.has_int8_instructions:
        yield (
            f"This processor has no INT8 dot product instructions ({', '.join(machine.features)}), so INT8 gains less "
            "than on processors that have them, such as a Raspberry Pi 5."
        )
    files = [*{result.path: result for result in reversed(results)}.values()][::-1]  # first row per file
    for result in files[1:]:
        yield from _differences(files[0], result)


def _int8_warnings(machine: Machine, result: ModelResult) -> Iterator[str]:
    backend = result.backend
    if backend.int8_kernels == "off":
        yield (
            f"{result.name}: INT8 RUNS WITHOUT ACCELERATION: {backend.int8_kernels_reason}. "
            + (
                "Use --int8-kernels on (int8_kernels='on')."
                if "switched off" in backend.int8_kernels_reason
                else f"{_other_build(machine)}."
            )
        )
    elif backend.delegated_ops == 0:
        yield (
            f"{result.name}: INT8 RUNS WITHOUT ACCELERATION: no operators are delegated to XNNPACK. "
            f"{_other_build(machine)}, or a model of standard convolutions."
        )


def _other_build(machine: Machine) -> str:
    if machine.architecture.startswith("armv"):
        return "Use a 64-bit system (the 32-bit wheel has no XNNPACK)"
    return "Use tflite-runtime 2.14.0 or LiteRT (pip install 'edge-image-sdk[litert]')"


def _differences(first: ModelResult, other: ModelResult) -> Iterator[str]:
    size, other_size = ((one.input_height, one.input_width) for one in (first, other))
    if size != other_size:
        yield (
            f"Input sizes differ, so the speeds are not for the same task: {first.name} {size[0]}×{size[1]} pixels, "
            f"{other.name} {other_size[0]}×{other_size[1]}."
        )
    if first.classes != other.classes:
        yield (
            f"{first.name} and {other.name} have different classes ({_class_difference(first.classes, other.classes)}),"
            " so they do not solve the same task."
        )


def _class_difference(first: tuple[str, ...], other: tuple[str, ...]) -> str:
    if len(first) != len(other):
        return f"{len(first)} and {len(other)}"
    if sorted(first) == sorted(other):
        return "same names, different order"
    only, theirs = sorted({*first} - {*other}), sorted({*other} - {*first})
    return f"{_some(only)} instead of {_some(theirs)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _own_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system
