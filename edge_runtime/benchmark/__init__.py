"""Measures models against one another on this machine.

Each model is loaded in fresh processes first, for load time, cold start and peak memory (`edge_runtime.first_result`).
Then, in each of some fresh processes (`heats`), all are loaded, warmed up until their latency is steady (`contender`),
and take turns, round by round and in random order (`rounds`). Ratios are those of the quietest turns within a process,
and their median over processes counts, with a bootstrap interval (`statistics`); a run on
a machine that was throttled, overloaded or on its battery is marked invalid (`validity`).
"""

from __future__ import annotations

from edge_runtime.benchmark.picture import format_svg
from edge_runtime.benchmark.result import BenchmarkReport, ModelResult, Speedup, Timing
from edge_runtime.benchmark.runner import benchmark
from edge_runtime.benchmark.tables import format_csv, format_markdown, format_operations, format_text
from edge_runtime.benchmark.threads import sweep_threads
from edge_runtime.benchmark.variations import variations

__all__ = [
    "BenchmarkReport",
    "ModelResult",
    "Speedup",
    "Timing",
    "benchmark",
    "format_csv",
    "format_markdown",
    "format_operations",
    "format_svg",
    "format_text",
    "sweep_threads",
    "variations",
]
