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
    from edge_runtime.benchmark.formats.svg import format_svg as format_svg
    from edge_runtime.benchmark.formats.tables import format_csv as format_csv
    from edge_runtime.benchmark.formats.tables import format_markdown as format_markdown
    from edge_runtime.benchmark.formats.tables import format_operations as format_operations
    from edge_runtime.benchmark.formats.tables import format_text as format_text
    from edge_runtime.benchmark.measures.threads import sweep_threads as sweep_threads
    from edge_runtime.benchmark.report import BenchmarkReport as BenchmarkReport
    from edge_runtime.benchmark.report import ModelResult as ModelResult
    from edge_runtime.benchmark.report import Speedup as Speedup
    from edge_runtime.benchmark.report import Timing as Timing
    from edge_runtime.benchmark.rows import variations as variations
    from edge_runtime.benchmark.runner import benchmark as benchmark

_MODULE_OF = {
    **dict.fromkeys(("BenchmarkReport", "ModelResult", "Speedup", "Timing"), "report"),
    "benchmark": "runner",
    **dict.fromkeys(("format_csv", "format_markdown", "format_operations", "format_text"), "formats.tables"),
    "format_svg": "formats.svg",
    "sweep_threads": "measures.threads",
    "variations": "rows",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edge_runtime.benchmark' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"edge_runtime.benchmark.{_MODULE_OF[name]}"), name)
