"""Runs on a throttled or busy machine are marked invalid, and slow kernels are named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_runtime.benchmark import BenchmarkReport, format_markdown, format_text
from edge_runtime.benchmark.timing.validity import invalid_reasons, machine_warnings, model_warnings
from edge_runtime.device.machine import Machine


class TestValidity:
    @pytest.mark.parametrize(
        ("change", "others", "words"),
        [
            ({"throttled": ("under-voltage",)}, 0.0, "was throttled (under-voltage): improve its power supply"),
            ({"on_battery": True}, 0.0, "on battery power"),
            ({}, 3.5, "used 3.5 of 4 cores, leaving too little for 1 thread:"),
        ],
    )
    def test_a_run_is_invalid_on_a_machine_in_trouble(
        self, machine: Machine, change: dict[str, object], others: float, words: str
    ) -> None:
        for before, after in ((machine, replace(machine, **change)), (replace(machine, **change), machine)):
            (reason,) = invalid_reasons(before, after, others, threads=1)
            assert words in reason

    def test_a_busy_neighbour_that_leaves_enough_cores_is_a_warning(self, machine: Machine) -> None:
        assert [*invalid_reasons(machine, machine, 1.0, threads=3)] == []
        (warning,) = machine_warnings(machine, 1.0)
        assert "used 1.0 of 4 cores" in warning
        assert len([*invalid_reasons(machine, machine, 1.0, threads=4)]) == 1

    def test_a_machine_that_tells_nothing_is_taken_at_its_word(self, machine: Machine) -> None:
        assert [*invalid_reasons(machine, machine, None, threads=4)] == []
        assert [*machine_warnings(machine, None)] == []

    def test_it_is_said_in_big_letters(self, report: BenchmarkReport) -> None:
        text = format_text(replace(report, invalid=("it ran on its battery",)))
        assert "I N V A L I D" in text.splitlines()[1]
        assert "Do not use these figures. It ran on its battery." in text
        assert format_markdown(replace(report, invalid=("it ran on its battery",))).startswith("# INVALID RUN")
        assert "I N V A L I D" not in format_text(replace(report, invalid=()))

    def test_int8_without_acceleration_is_named_with_what_would_change_it(
        self, report: BenchmarkReport, machine: Machine
    ) -> None:
        int8, fp32 = report.models
        no_symbols = replace(int8.backend, int8_kernels="off", int8_kernels_reason="was built without XNNPACK")
        for architecture, cure in (("armv7l", "Use a 64-bit system"), ("aarch64", "LiteRT")):
            on = replace(machine, architecture=architecture)
            (warning,) = model_warnings(on, [replace(int8, backend=no_symbols, steady=True)], 0.0)
            assert "INT8 RUNS WITHOUT ACCELERATION: was built without XNNPACK" in warning
            assert cure in warning
        pi4, pi5 = replace(machine, features=("NEON",)), replace(machine, features=("NEON", "dot product"))
        (warning,) = model_warnings(pi4, [replace(int8, steady=True)], 0.0)
        assert "no INT8 dot product" in warning
        assert "WITHOUT" not in warning
        assert [*model_warnings(pi5, [replace(int8, steady=True)], 0.0)] == []
        assert [*model_warnings(pi4, [replace(fp32, steady=True)], 0.0)] == []
