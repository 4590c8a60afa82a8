"""Run each measurement in a fresh process, so that no measurement affects the next one."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

from benchmarks.harness.figure import Figure


def measure(module: str, quick: bool) -> list[Figure]:
    """Run a module's ``measure`` function in a fresh process; exceptions are passed on."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent) as pool:
        return pool.submit(_in_child, module, quick).result()


def _end_with_parent() -> None:
    """End this process with its parent, which would otherwise leave it running beside the next measurement."""

    def wait() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _in_child(module: str, quick: bool) -> list[Figure]:
    figures: list[Figure] = import_module(module).measure(quick)
    return figures
