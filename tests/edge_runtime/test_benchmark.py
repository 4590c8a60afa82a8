"""The benchmark compares models fairly and says in plain words what it found, and on what."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.benchmark import (
    BenchmarkReport,
    Speedup,
    benchmark,
    compare,
    format_markdown,
    format_text,
    summarize,
)
from edge_runtime.classifier import Classifier
from edge_runtime.errors import ModelError
from edge_runtime.machine import Machine, decode_throttled, describe_machine


@pytest.fixture(scope="module")
def report(tiny_int8: Path, tiny_fp32: Path) -> BenchmarkReport:
    return benchmark([tiny_int8], baseline=tiny_fp32, rounds=3, warmup=1, num_threads=1, seed=5)


class TestBenchmark:
    def test_measures_every_model_in_every_round(self, report: BenchmarkReport) -> None:
        assert [model.precision for model in report.models] == ["INT8", "FP32"]
        assert report.rounds == 3
        for model in report.models:
            for timing in (model.inference, model.pipeline):
                assert timing.count >= 3
                assert 0 < timing.min_ms <= timing.p50_ms <= timing.p90_ms <= timing.p99_ms
                assert timing.fps == pytest.approx(1000 / timing.mean_ms)
            assert model.pipeline.p50_ms > model.inference.p50_ms
            assert model.size_bytes == Path(model.path).stat().st_size

    def test_compares_with_the_baseline_alone(self, report: BenchmarkReport) -> None:
        int8, fp32 = report.models
        assert report.baseline == fp32.name
        assert fp32.inference_speedup is None
        assert int8.inference_speedup is not None
        assert int8.inference_speedup.low <= int8.inference_speedup.ratio <= int8.inference_speedup.high

    def test_accuracy_is_the_manifests_for_the_file_at_hand(self, report: BenchmarkReport, tiny_int8: Path) -> None:
        with Classifier(tiny_int8) as classifier:
            manifest = classifier.model.manifest
        assert manifest is not None
        stated = next(entry for entry in manifest.accuracy if entry.split == report.models[0].accuracy_split)
        assert report.models[0].accuracy == stated.int8
        assert report.models[1].accuracy == stated.fp32

    def test_becomes_json(self, report: BenchmarkReport) -> None:
        values = json.loads(json.dumps(report.to_dict()))
        assert values["schema_version"] == 1
        assert values["models"][0]["inference"]["fps"] == pytest.approx(report.models[0].inference.fps)
        assert values["models"][0]["backend"]["num_threads"] == 1
        assert values["machine"]["cores"] >= 1

    def test_one_model_alone_needs_no_baseline(self, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], rounds=1, warmup=0, num_threads=1)
        assert report.baseline is None
        assert report.sentences() == ()
        assert gc.isenabled()

    def test_a_baseline_among_the_models_is_not_measured_twice(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        report = benchmark([tiny_fp32, tiny_int8], baseline=tiny_fp32, rounds=1, warmup=0, num_threads=1)
        assert len(report.models) == 2
        assert report.models[1].inference_speedup is not None

    def test_two_settings_of_one_model_are_told_apart_and_the_slow_one_is_named(self, tiny_int8: Path) -> None:
        with (
            Classifier(tiny_int8, num_threads=1) as usual,
            Classifier(tiny_int8, num_threads=1, int8_kernels="off") as slow,
        ):
            report = benchmark([usual, slow], baseline=usual, rounds=1, warmup=0)
            assert usual.classify(np.zeros((4, 4, 3), np.uint8)).top is not None  # still open: it is the caller's
        assert report.models[1].name == f"{tiny_int8.name}, INT8 kernels off"
        assert any("runs on the slow kernels: switched off by the caller" in warning for warning in report.warnings)

    def test_models_for_different_classes_are_a_warning(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        with Classifier(tiny_fp32, labels=["a", "b", "c"], num_threads=1) as other:
            report = benchmark([tiny_int8, other], rounds=1, warmup=0, num_threads=1)
        assert any("don't know the same classes" in warning for warning in report.warnings)

    def test_no_model_is_an_error(self) -> None:
        with pytest.raises(ModelError, match="at least one model"):
            benchmark([])

    def test_progress_stays_silent_where_nobody_watches(
        self, tiny_int8: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        benchmark([tiny_int8], seconds=1.2, warmup=0, num_threads=1)
        captured = capfd.readouterr()
        assert "benchmark" not in captured.err + captured.out


class TestStatistics:
    def test_percentiles(self) -> None:
        timing = summarize([float(value) for value in range(1, 102)])
        assert (timing.count, timing.min_ms, timing.p50_ms, timing.p90_ms, timing.p99_ms) == (101, 1, 51, 91, 100)

    def test_a_true_ratio_is_found_through_noise_that_hits_both(self) -> None:
        rng = np.random.default_rng(0)
        noise = rng.lognormal(0, 0.5, 40)
        fast = [[2.0 * level * jitter for jitter in rng.normal(1, 0.05, 5)] for level in noise]
        slow = [[3.0 * level * jitter for jitter in rng.normal(1, 0.05, 5)] for level in noise]
        speedup = compare(fast, slow, seed=1)
        assert speedup.ratio == pytest.approx(1.5, rel=0.03)
        assert 1.4 < speedup.low < 1.5 < speedup.high < 1.6
        assert compare(fast, slow, seed=1) == speedup

    @pytest.mark.parametrize(
        ("speedup", "verdict"),
        [
            (Speedup(1.8, 1.7, 1.9), "faster than"),
            (Speedup(0.7, 0.6, 0.8), "slower than"),
            (Speedup(1.1, 0.9, 1.3), "not measurably faster or slower than"),
        ],
    )
    def test_nothing_is_claimed_that_the_interval_does_not_carry(self, speedup: Speedup, verdict: str) -> None:
        assert speedup.verdict == verdict


class TestFormats:
    def test_text_has_a_row_a_model_and_a_sentence_that_admits_slowness(self, report: BenchmarkReport) -> None:
        int8, fp32 = report.models
        slow = replace(int8, inference_speedup=Speedup(0.5, 0.4, 0.6), pipeline_speedup=Speedup(0.6, 0.55, 0.65))
        text = format_text(replace(report, models=(slow, fp32)))
        lines = text.splitlines()
        assert lines[1].startswith(int8.name)
        assert lines[2].startswith(fp32.name)
        assert (
            f"{int8.name} (INT8) is slower than {fp32.name} (FP32): 0.50 times (95% interval 0.40–0.60) its speed in "
            "inference alone, 0.60 times (95% interval 0.55–0.65) in the whole pipeline."
        ) in lines
        assert "not measured here" in text
        assert "threads: 1" in text

    def test_markdown_is_one_table(self, report: BenchmarkReport) -> None:
        lines = format_markdown(report).splitlines()
        rows = [line for line in lines if line.startswith("|")]
        assert len(rows) == 4
        assert len({row.count("|") for row in rows}) == 1
        assert any(line.startswith("- Machine: ") for line in lines)


class TestMachine:
    @pytest.fixture
    def pi(self, tmp_path: Path) -> Path:
        """The files of a Raspberry Pi 4 that are read."""
        files = {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/cpuinfo": "processor\t: 0\nCPU part\t: 0xd08\n\nprocessor\t: 1\nCPU part\t: 0xd08\n",
            "proc/loadavg": "0.10 0.20 0.30 1/200 1234\n",
            "proc/meminfo": "MemTotal:        3884360 kB\nMemFree: 1 kB\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "1800000\n",
            "sys/class/thermal/thermal_zone0/temp": "48312\n",
        }
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    def test_reads_what_a_raspberry_pi_tells(self, pi: Path) -> None:
        machine = describe_machine(pi)
        assert machine.board == "Raspberry Pi 4 Model B Rev 1.4"
        assert machine.cpu == "2× Cortex-A72"
        assert (machine.governor, machine.clock_mhz, machine.clock_max_mhz) == ("powersave", 600, 1800)
        assert machine.temperature_c == pytest.approx(48.312)
        assert machine.load == 0.1
        assert machine.memory_bytes == 3884360 * 1024

    def test_what_is_not_told_is_none(self, tmp_path: Path) -> None:
        machine = describe_machine(tmp_path)
        assert (machine.board, machine.cpu, machine.governor, machine.clock_mhz, machine.load) == (None,) * 5
        assert machine.cores >= 1
        assert not any("governor" in warning or "busy" in warning for warning in machine.warnings())

    def test_this_machine_can_be_described(self) -> None:
        assert isinstance(describe_machine(), Machine)

    @pytest.mark.parametrize(
        ("answer", "meaning"),
        [
            ("throttled=0x0\n", ()),
            ("throttled=0x50000\n", ()),  # since boot, but not now
            ("throttled=0x50005\n", ("under-voltage", "throttled")),
            ("command not found", None),
        ],
    )
    def test_throttling_is_decoded(self, answer: str, meaning: tuple[str, ...] | None) -> None:
        assert decode_throttled(answer) == meaning

    def test_warns_of_what_slows_it_down(self, pi: Path) -> None:
        machine = replace(describe_machine(pi), load=9.0, cores=4, throttled=("under-voltage",))
        warnings = machine.warnings()
        assert len(warnings) == 3
        assert "powersave" in warnings[0]
        assert "load 9.0 on 4 cores" in warnings[1]
        assert "under-voltage" in warnings[2]
        assert replace(machine, governor="ondemand", load=1.0, throttled=()).warnings() == ()
