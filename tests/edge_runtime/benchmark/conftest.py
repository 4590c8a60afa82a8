"""Fixtures: a report of the two tiny models, and a machine without sensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.benchmark import BenchmarkReport, benchmark
from edge_runtime.device.machine import Machine, describe_machine


@pytest.fixture(scope="session")
def report(tiny_int8: Path, tiny_fp32: Path) -> BenchmarkReport:
    return benchmark([tiny_int8], baseline=tiny_fp32, rounds=3, warmup=1, processes=1, num_threads=1, seed=5)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Return a machine with four cores and no other information."""
    return replace(describe_machine(tmp_path), cores=4, throttled=None)
