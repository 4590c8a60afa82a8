"""The benchmark compares models fairly, and goes on where one of them fails."""

from __future__ import annotations

import gc
import json
import signal
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.benchmark import BenchmarkReport, benchmark, format_markdown, format_operations, format_text
from edge_runtime.benchmark.measures.first_result import first_result
from edge_runtime.benchmark.timing.heats import run_heat
from edge_runtime.benchmark.timing.rounds import StoppingRule
from edge_runtime.errors import BackendError, EdgeRuntimeError, ModelError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.options import ClassifierOptions


class TestBenchmark:
    def test_measures_every_model_in_every_round(self, report: BenchmarkReport) -> None:
        assert [model.precision for model in report.models] == ["INT8", "FP32"]
        assert (report.rounds, report.ended_by) == (3, "rounds")
        for model in report.models:
            for timing in (model.inference, model.pipeline, model.preprocess, model.postprocess):
                assert timing.count >= 3
                assert 0 < timing.min_ms <= timing.p50_ms <= timing.p90_ms <= timing.p99_ms
                assert timing.low_ms <= timing.p50_ms <= timing.high_ms
                assert timing.fps == pytest.approx(1000 / timing.mean_ms)
            assert model.pipeline.min_ms > model.preprocess.min_ms + model.postprocess.min_ms
            assert model.size_bytes == Path(model.path).stat().st_size
            assert model.warmup_runs == 2

    def test_compares_with_the_baseline_alone(self, report: BenchmarkReport) -> None:
        int8, fp32 = report.models
        assert report.baseline == fp32.name
        assert fp32.inference_speedup is None
        assert int8.inference_speedup is not None
        assert int8.inference_speedup.low <= int8.inference_speedup.ratio <= int8.inference_speedup.high

    def test_the_rounds_are_dealt_over_fresh_processes(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        report = benchmark([tiny_int8], baseline=tiny_fp32, rounds=3, warmup=0, processes=2, num_threads=1)
        assert (report.rounds, report.heats, report.ended_by) == (3, 2, "rounds")
        assert report.models[0].warmup_runs == 2  # one in each
        assert report.models[0].inference_speedup is not None
        assert "in 2 processes" in format_text(report)

    def test_a_heat_that_fails_says_why(self, tmp_path: Path) -> None:
        frame, models = np.zeros((8, 8, 3), np.uint8), [ClassifierOptions(str(tmp_path / "missing.tflite"))]
        with pytest.raises(BackendError, match=r"missing\.tflite"):
            run_heat(models, frame, StoppingRule(seconds=1.0), warmup=0, seed=0)

    def test_starts_each_model_in_a_process_of_its_own(self, report: BenchmarkReport) -> None:
        for model in report.models:
            assert model.start is not None
            assert model.start.processes == 1
            assert 0 < model.start.load_ms < model.start.cold_start_ms
            assert 0 < model.start.first_ms < model.start.cold_start_ms
            assert 20e6 < model.start.peak_bytes < 300e6

    def test_accuracy_is_the_manifests_for_the_file_at_hand(self, report: BenchmarkReport, tiny_int8: Path) -> None:
        with Classifier(tiny_int8) as classifier:
            manifest = classifier.model.manifest
        assert manifest is not None
        int8, fp32 = (model.accuracy for model in report.models)
        assert int8 is not None
        assert fp32 is not None
        stated = next(entry for entry in manifest.accuracy if entry.split == int8.split)
        assert (int8.value, int8.source, int8.photos) == (stated.int8, "manifest", stated.count)
        assert fp32.value == stated.fp32
        assert int8.low < int8.value < int8.high

    def test_operations_are_counted_with_their_multiply_adds(self, report: BenchmarkReport) -> None:
        for model in report.models:
            kinds = {kind.name: kind for kind in model.operations}
            # 32×32×3 to 16×16×8 by 3×3, depthwise 3×3, to 16 channels by 1×1.
            assert kinds["DEPTHWISE_CONV_2D"].macs == 16 * 16 * 8 * 9
            assert sum(kind.count for kind in model.operations) == model.backend.total_ops
            delegated = [kind.delegated for kind in model.operations if kind.delegated is not None]
            assert sum(delegated) == model.backend.delegated_ops
            assert f"operators, {model.name}" in format_operations(report)

    def test_becomes_json(self, report: BenchmarkReport) -> None:
        values = json.loads(json.dumps(report.to_dict()))
        assert values["schema_version"] == 3
        assert values["models"][0]["inference"]["fps"] == pytest.approx(report.models[0].inference.fps)
        assert values["models"][0]["backend"]["num_threads"] == 1
        assert values["models"][0]["start"]["processes"] == 1
        assert values["models"][0]["classes"] == ["blue", "green", "red"]
        assert values["machine"]["cores"] >= 1
        assert values["date"].endswith("+00:00")

    def test_one_model_alone_needs_no_baseline(self, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], rounds=1, warmup=0, num_threads=1)
        assert report.baseline is None
        assert report.sentences() == ()
        assert report.models[0].start is None
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
        (warning,) = (one for one in report.warnings if "WITHOUT ACCELERATION" in one)
        assert "switched off by the caller" in warning
        assert "Use --int8-kernels on (int8_kernels='on')." in warning

    def test_models_for_different_classes_are_a_warning(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        other = ClassifierOptions(str(tiny_fp32), labels=("a", "b", "c"), num_threads=1)
        report = benchmark([tiny_int8, other], rounds=1, warmup=0, num_threads=1)
        (warning,) = (one for one in report.warnings if "have different classes" in one)
        assert "blue, green, red instead of a, b, c" in warning

    def test_warms_up_until_the_latency_is_steady(self, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], rounds=1, num_threads=1)
        (model,) = report.models
        assert model.warmup_runs >= 10
        assert model.steady == (not any("not steady" in warning for warning in report.warnings))


class TestBadModels:
    @pytest.fixture
    def cut(self, tiny_int8: Path, tmp_path: Path) -> Path:
        path = tmp_path / "cut.tflite"
        path.write_bytes(tiny_int8.read_bytes()[:3000])
        return path

    @pytest.mark.parametrize("processes", [0, 1])
    def test_one_that_fails_is_a_row_and_the_others_go_on(self, cut: Path, tiny_fp32: Path, processes: int) -> None:
        report = benchmark([cut], baseline=tiny_fp32, rounds=1, warmup=0, processes=processes, num_threads=1)
        assert [model.name for model in report.models] == [tiny_fp32.name]
        (failure,) = report.failures
        assert failure.name == "cut.tflite"
        assert "truncated or damaged" in failure.reason
        assert "cut.tflite" in format_text(report)
        assert "truncated or damaged" in format_text(report)
        assert "truncated or damaged" in format_markdown(report)

    def test_without_its_baseline_a_model_has_no_ratio(self, cut: Path, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], baseline=cut, rounds=1, warmup=0, num_threads=1)
        assert report.baseline is None
        assert report.models[0].inference_speedup is None
        assert [failure.name for failure in report.failures] == ["cut.tflite"]

    def test_none_that_works_is_an_error(self, cut: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="truncated or damaged"):
            benchmark([cut, tmp_path / "missing.tflite"], rounds=1)
        with pytest.raises(EdgeRuntimeError, match="truncated or damaged"):
            benchmark([cut], rounds=1, processes=1)

    def test_no_model_and_a_precision_of_nothing_are_errors(self, tiny_int8: Path) -> None:
        with pytest.raises(ModelError, match="No models to benchmark"):
            benchmark([])
        with pytest.raises(ModelError, match="there is no baseline"):
            benchmark([tiny_int8], precision=0.02)

    def test_a_process_that_dies_is_told_from_one_that_complains(self, tiny_int8: Path, tmp_path: Path) -> None:
        # The same signal as from a crash of the interpreter.
        (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            with pytest.raises(BackendError, match=f"signal {signal.SIGSEGV:d}"):
                first_result(ClassifierOptions(str(tiny_int8)), height=48, width=64)

    def test_options_survive_the_way_to_another_process(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, num_threads=1, labels=["a", "b", "c"]) as classifier:
            options = classifier.resolved_options
        again = ClassifierOptions.from_dict(json.loads(json.dumps(options.to_dict())))
        assert again == options
        assert again.labels == ("a", "b", "c")
        assert ClassifierOptions.from_dict(
            json.loads(json.dumps(ClassifierOptions("m.tflite").to_dict()))
        ) == ClassifierOptions("m.tflite")
