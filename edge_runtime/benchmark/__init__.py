"""Measure and compare models on this machine.

Each model is first loaded in fresh processes, for load time, cold start and peak memory (`measures.first_result`).
The latency measurement is then spread over several fresh processes (`timing.heats`). Each one loads all models, warms
them up until their latency is steady (`timing.contender`) and runs them in turns, in random order (`timing.rounds`).
Speedups compare the quietest turns of all processes and come with a bootstrap interval (`timing.statistics`). A run on
a machine that was throttled, overloaded or on battery power is marked invalid (`timing.validity`).

Importing this package loads none of its modules: import time is part of what `measures.first_result` measures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.benchmark.formats.svg import format_svg
    from edge_runtime.benchmark.formats.tables import format_csv, format_markdown, format_operations, format_text
    from edge_runtime.benchmark.measures.threads import sweep_threads
    from edge_runtime.benchmark.report import BenchmarkReport, ModelResult, Speedup, Timing
    from edge_runtime.benchmark.rows import variations
    from edge_runtime.benchmark.runner import benchmark

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

_MODULE_OF = {
    **dict.fromkeys(("BenchmarkReport", "ModelResult", "Speedup", "Timing"), "report"),
    "benchmark": "runner",
    **dict.fromkeys(("format_csv", "format_markdown", "format_operations", "format_text"), "formats.tables"),
    "format_svg": "formats.svg",
    "sweep_threads": "measures.threads",
    "variations": "rows",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edge_runtime.benchmark' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"edge_runtime.benchmark.{_MODULE_OF[name]}"), name)
