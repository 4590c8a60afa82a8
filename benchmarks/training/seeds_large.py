"""Accuracy of the default recipe with a large network, INT8 and FP32, mean of three seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.training.seeds import measure_network

if TYPE_CHECKING:
    from benchmarks.harness.figure import Figure


def measure(quick: bool) -> list[Figure]:
    return measure_network("seeds_large", "mobilenet_v2_1.0", {"trashnet": 92.0, "clothing": 90.0}, quick)
