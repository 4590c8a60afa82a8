"""Runs a measurement in a fresh process, so that none finds what another one left in memory."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

from benchmarks.figure import Figure


def measure(name: str, quick: bool) -> list[Figure]:
    """Runs the function ``measure`` of a module of this package; what it raises comes through."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_in_child, name, quick).result()


def _in_child(name: str, quick: bool) -> list[Figure]:
    figures: list[Figure] = import_module(f"benchmarks.{name}").measure(quick)
    return figures
