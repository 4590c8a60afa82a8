"""The benchmark compares models fairly and says in plain words what it found, and on what."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.benchmark import (
    BenchmarkReport,
    Speedup,
    benchmark,
    format_csv,
    format_markdown,
    format_svg,
    format_text,
    sweep_threads,
    variations,
)
from edge_runtime.benchmark.accuracy import find_photos, measure_accuracy
from edge_runtime.benchmark.capture import measure_capture
from edge_runtime.benchmark.contender import Contender, is_steady
from edge_runtime.benchmark.energy import find_meter, measure_energy
from edge_runtime.benchmark.result import Capture, Failure, Sample, Sustained, ThreadTrial
from edge_runtime.benchmark.rounds import StoppingRule, run_rounds
from edge_runtime.benchmark.statistics import share_interval, speedup, summarize
from edge_runtime.benchmark.sustained import sustain
from edge_runtime.benchmark.threads import best_threads
from edge_runtime.benchmark.validity import invalid_reasons, machine_warnings, model_warnings
from edge_runtime.classifier import Classifier
from edge_runtime.cli import main
from edge_runtime.errors import BackendError, EdgeRuntimeError, ModelError, SourceError
from edge_runtime.first_result import first_result
from edge_runtime.interpreter import installed_backends
from edge_runtime.machine import Machine, State, describe_machine
from edge_runtime.setup import Setup
from edge_runtime.sources import open_source
from edge_runtime.sources.folder import read_picture
from edge_runtime.sources.synthetic import SyntheticSource
from edge_runtime.thread_memory import remember_threads, remembered_threads, usable_cores
from tests.tiny import picture

TIMES = st.lists(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=4), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def report(tiny_int8: Path, tiny_fp32: Path) -> BenchmarkReport:
    return benchmark([tiny_int8], baseline=tiny_fp32, rounds=3, warmup=1, processes=1, num_threads=1, seed=5)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One of four cores that tells nothing else."""
    return replace(describe_machine(tmp_path), cores=4, throttled=None)


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

    def test_becomes_json(self, report: BenchmarkReport) -> None:
        values = json.loads(json.dumps(report.to_dict()))
        assert values["schema_version"] == 2
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
        assert "--int8-kernels on would change it" in warning

    def test_models_for_different_classes_are_a_warning(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        other = Setup(str(tiny_fp32), labels=("a", "b", "c"), num_threads=1)
        report = benchmark([tiny_int8, other], rounds=1, warmup=0, num_threads=1)
        (warning,) = (one for one in report.warnings if "don't know the same classes" in one)
        assert "blue, green, red against a, b, c" in warning

    def test_warms_up_until_the_latency_is_steady(self, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], rounds=1, num_threads=1)
        (model,) = report.models
        assert model.warmup_runs >= 10
        assert model.steady == (not any("wasn't steady" in warning for warning in report.warnings))


class TestVariations:
    def test_each_combination_that_differs_is_a_row(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        options = {"backends": installed_backends(), "int8_kernels": ("on", "off"), "num_threads": (1, 2)}
        count = len(installed_backends())
        int8 = variations(Setup(str(tiny_int8)), **options)
        assert len(int8) == len(set(int8)) == 4 * count
        assert len(variations(Setup(str(tiny_fp32)), **options)) == 2 * count
        assert variations(Setup("missing.tflite")) == (Setup("missing.tflite"),)
        assert len(variations(Setup("missing.tflite"), int8_kernels=("on", "off"))) == 1

    def test_every_backend_and_kernel_is_measured(self, tiny_int8: Path) -> None:
        rows = variations(
            Setup(str(tiny_int8)), backends=installed_backends(), int8_kernels=("auto", "off"), num_threads=(1,)
        )
        report = benchmark(rows, baseline=rows[0], rounds=1, warmup=0)
        assert report.failures == ()
        assert [model.backend.name for model in report.models] == [row.backend for row in rows]
        assert len({model.name for model in report.models}) == len(rows)
        assert report.baseline == report.models[0].name

    def test_operations_that_xnnpack_leaves_are_named(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, num_threads=1, int8_kernels="off") as classifier:
            backend = classifier.backend
        assert backend.delegated_ops == 0
        assert len(backend.undelegated) == backend.total_ops
        assert "CONV_2D" in backend.undelegated


class TestThreads:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        return tmp_path / "cache"

    def test_a_sweep_measures_all_and_is_remembered_where_it_can_be_relied_on(self, tiny_int8: Path) -> None:
        sweep = sweep_threads(Setup(str(tiny_int8)), np.zeros((48, 64, 3), np.uint8), seconds=0.1)
        assert [trial.num_threads for trial in sweep.trials] == [*range(1, min(usable_cores(), 8) + 1)]
        assert 1 <= sweep.best <= max(1, usable_cores() - 1)
        with Classifier(tiny_int8) as classifier:
            backend = classifier.backend
        assert backend.threads_from == ("sweep" if sweep.remembered else "default")
        assert not sweep.remembered or backend.num_threads == sweep.best

    def test_the_classifier_takes_what_is_remembered_for_this_model_and_backend(
        self, tiny_int8: Path, tiny_fp32: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Classifier(tiny_int8) as classifier:
            model, backend = classifier.model, classifier.backend
        best = min(2, usable_cores())
        assert remember_threads(model.sha256, backend.name, backend.version, best)
        with (
            Classifier(tiny_int8) as again,
            Classifier(tiny_fp32) as other,
            Classifier(tiny_int8, num_threads=1) as one,
        ):
            assert (again.backend.num_threads, again.backend.threads_from) == (best, "sweep")
            assert other.backend.threads_from == "default"
            assert (one.backend.num_threads, one.backend.threads_from) == (1, "caller")
        assert main(["info", str(tiny_int8)]) == 0
        assert "the best in a sweep on this machine" in capsys.readouterr().out

    def test_a_record_that_makes_no_sense_is_as_none(self, cache: Path) -> None:
        remember_threads("a" * 64, "tflite_runtime", "2.14.0", 1)
        (record,) = (cache / "edge_runtime").iterdir()
        for text in ("", "[]", "{}", '{"num_threads": 0}', '{"num_threads": "2"}', '{"num_threads": 100000}'):
            record.write_text(text)
            assert remembered_threads("a" * 64, "tflite_runtime", "2.14.0") is None

    def test_a_cache_that_cannot_be_written_is_no_error(self, cache: Path) -> None:
        cache.write_text("a file where the folder should be")
        assert not remember_threads("a" * 64, "tflite_runtime", "2.14.0", 1)
        assert remembered_threads("a" * 64, "tflite_runtime", "2.14.0") is None

    @pytest.mark.parametrize(
        ("medians", "cores", "best"),
        [
            ([4.0, 1.95, 1.9, 1.0], 4, 2),  # the last core isn't ours, and 2 threads are as good as 3
            ([4.0, 2.5, 1.9, 1.0], 4, 3),
            ([1.0, 1.5, 2.0, 2.0], 4, 1),
            ([1.0], 1, 1),
            ([4.0, 2.0], 2, 1),
        ],
    )
    def test_the_best_is_the_fewest_that_are_as_good_and_leave_a_core(
        self, medians: list[float], cores: int, best: int
    ) -> None:
        trials = tuple(ThreadTrial(n + 1, summarize([[ms]])) for n, ms in enumerate(medians))
        assert best_threads(trials, cores) == best


class TestCapture:
    def test_a_source_is_measured_and_its_frame_classified(self, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], source="synthetic", rounds=1, warmup=0, num_threads=1)
        assert report.capture is not None
        assert report.capture.timing.count > 1
        assert (report.frame_height, report.frame_width) == (480, 640)
        assert "frames per second: " in "".join(report.sentences())
        assert "synthetic scene" in format_text(report)
        assert json.loads(json.dumps(report.to_dict()))["capture"]["timing"]["fps"] > 0

    @pytest.mark.parametrize(("factor", "limit"), [(0.5, "the source is the limit"), (2, "inference is the limit")])
    def test_the_slower_of_the_two_is_the_limit(self, report: BenchmarkReport, factor: float, limit: str) -> None:
        model = report.models[0]
        slow = replace(model, inference=replace(model.inference, mean_ms=100.0))
        timing = summarize([[model.pipeline.mean_ms / factor]])
        found = replace(report, models=(slow,), capture=Capture("a camera", True, timing)).sentences()
        assert limit in found[-1]

    def test_a_single_picture_counts_too_and_an_empty_source_is_an_error(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "one.png"), np.zeros((20, 30, 3), np.uint8))
        with open_source(tmp_path / "one.png") as source:
            capture, frame = measure_capture(source)
        assert capture.timing.count == 1
        assert frame.shape == (20, 30, 3)
        with pytest.raises(SourceError, match="at least one frame"):
            measure_capture(SyntheticSource(count=0))


class TestAccuracy:
    @pytest.fixture
    def photos(self, tmp_path: Path) -> Path:
        for label in ("blue", "green", "red"):
            (tmp_path / "photos" / label).mkdir(parents=True)
            for seed in range(4):
                path = tmp_path / "photos" / label / f"{seed}.png"
                cv2.imwrite(str(path), picture(label, seed=100 + seed)[:, :, ::-1])
        return tmp_path / "photos"

    def test_is_measured_on_the_photos_and_not_the_manifests(
        self, photos: Path, tiny_int8: Path, tiny_fp32: Path
    ) -> None:
        report = benchmark([tiny_int8], baseline=tiny_fp32, photos=photos, rounds=1, warmup=0, num_threads=1)
        int8, fp32 = (model.accuracy for model in report.models)
        assert int8 is not None
        assert fp32 is not None
        with Classifier(tiny_int8) as classifier:
            files = [(path, path.parent.name) for path in sorted(photos.rglob("*.png"))]
            right = [classifier.classify(read_picture(path), top_k=1).top.label == truth for path, truth in files]
        assert (int8.source, int8.photos, int8.value) == ("measured", 12, sum(right) / 12)
        assert int8.agreement is not None
        assert int8.agreement > 0.5
        assert fp32.agreement is None
        assert "measured here on 12 photos" in format_text(report)
        assert "stated" not in format_text(report)

    def test_what_cannot_be_used_is_left_out_and_told(self, photos: Path, tiny_int8: Path) -> None:
        (photos / "purple").mkdir()
        (photos / "red" / "bad.png").write_bytes(b"no picture")
        with Classifier(tiny_int8) as classifier:
            measured = measure_accuracy([classifier], find_photos([classifier], photos))
        assert measured.accuracies[0].photos == 12
        assert ["purple" in measured.warnings[0], "bad.png" in measured.warnings[1]] == [True, True]

    def test_a_folder_of_something_else_is_an_error_before_anything_is_measured(
        self, photos: Path, tiny_int8: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(SourceError, match=r"classes of the models \(blue, green, red\).*got: photos"):
            benchmark([tiny_int8], photos=tmp_path, seconds=500)
        with pytest.raises(SourceError, match="there is none"):
            benchmark([tiny_int8], photos=tmp_path / "missing", seconds=500)


class TestSustained:
    def test_watches_the_machine_while_one_model_runs(self, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge_runtime.benchmark.sustained.SHORTEST_SAMPLE_S", 0.05)
        states = iter([State(1800 - 100 * n, 50.0 + n, ("throttled",) if n > 2 else ()) for n in range(100)])
        kept: list[Sustained] = []
        frame = np.zeros((48, 64, 3), np.uint8)
        with Classifier(tiny_int8, num_threads=1) as classifier:
            found = sustain(
                classifier, frame, minutes=0.4 / 60, name="tiny", keep=kept.append, read=lambda: next(states)
            )
        assert len(found.samples) >= 3
        assert [sample.temperature_c for sample in found.samples[:2]] == [50, 51]
        assert found.samples[-1].throttled == ("throttled",)
        assert all(sample.fps > 0 for sample in found.samples)
        assert kept[-1] == found
        assert [len(one.samples) for one in kept] == [*range(1, len(found.samples) + 1)]

    def test_is_told_in_a_dozen_lines(self, report: BenchmarkReport) -> None:
        samples = tuple(Sample(5.0 * (n + 1), 100.0 - n / 2, 9.9, 60.0, 1500.0, ("throttled",)) for n in range(100))
        told = replace(report, sustained=Sustained("tiny", samples))
        text = format_text(told)
        assert sum(line.endswith("throttled") for line in text.splitlines()) <= 14
        assert "kept 54% of its first frame rate over 8.3 minutes" in text
        assert len(json.loads(json.dumps(told.to_dict()))["sustained"]["samples"]) == 100


class TestEnergy:
    @pytest.fixture
    def rapl(self, tmp_path: Path) -> Path:
        """Two packages, and what must not be added to them."""
        for name, kind in (("0", "package-0"), ("1", "package-1"), ("0:0", "core"), ("2", "psys")):
            folder = tmp_path / "sys/class/powercap" / f"intel-rapl:{name}"
            folder.mkdir(parents=True)
            (folder / "name").write_text(f"{kind}\n")
            (folder / "energy_uj").write_text("1000000\n")
            (folder / "max_energy_range_uj").write_text("9000000\n")
        return tmp_path

    def test_counters_of_packages_are_added_also_when_they_begin_anew(self, rapl: Path) -> None:
        meter = find_meter(rapl)
        assert meter is not None

        def work() -> None:
            folder = rapl / "sys/class/powercap"
            (folder / "intel-rapl:0/energy_uj").write_text("3500000")
            (folder / "intel-rapl:1/energy_uj").write_text("500000")
            (folder / "intel-rapl:2/energy_uj").write_text("8000000")

        assert meter.measure(work) == pytest.approx(2.5 + 8.5)

    def test_a_sensor_on_the_supply_goes_first(self, rapl: Path, tiny_int8: Path) -> None:
        for number, chip, microwatts in ((0, "amdgpu", "90000000"), (1, "ina219", "2500000")):
            folder = rapl / f"sys/class/hwmon/hwmon{number}"
            folder.mkdir(parents=True)
            (folder / "name").write_text(chip)
            (folder / "power1_input").write_text(microwatts)
        meter = find_meter(rapl)
        assert meter is not None
        with Classifier(tiny_int8, num_threads=1) as classifier:
            energy = measure_energy(meter, classifier, np.zeros((48, 64, 3), np.uint8), idle_s=0.05, busy_s=0.1)
        assert "ina219" in energy.meter
        assert energy.busy_w == pytest.approx(2.5, rel=0.2)
        assert energy.idle_w == pytest.approx(2.5, rel=0.5)
        assert 0 < energy.per_frame_mj < 2500

    def test_is_absent_where_the_machine_has_no_meter(self, tmp_path: Path) -> None:
        assert find_meter(tmp_path) is None

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_counter_that_may_not_be_read_is_none(self, rapl: Path) -> None:
        for counter in rapl.rglob("energy_uj"):
            counter.chmod(0)
        assert find_meter(rapl) is None


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
        with pytest.raises(ModelError, match="at least one model"):
            benchmark([])
        with pytest.raises(ModelError, match="Expected a baseline"):
            benchmark([tiny_int8], precision=0.02)

    def test_a_process_that_dies_is_told_from_one_that_complains(self, tiny_int8: Path, tmp_path: Path) -> None:
        # What a crash of the interpreter looks like to whoever started it.
        (tmp_path / "sitecustomize.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            with pytest.raises(BackendError, match=f"signal {signal.SIGSEGV:d}"):
                first_result(Setup(str(tiny_int8)), height=48, width=64)

    def test_a_setup_survives_the_way_to_another_process(self, tiny_int8: Path) -> None:
        with Classifier(tiny_int8, num_threads=1, labels=["a", "b", "c"]) as classifier:
            setup = Setup.of(classifier)
        again = Setup.from_dict(json.loads(json.dumps(setup.to_dict())))
        assert again == setup
        assert again.labels == ("a", "b", "c")
        assert Setup.from_dict(json.loads(json.dumps(Setup("m.tflite").to_dict()))) == Setup("m.tflite")


class TestRounds:
    @pytest.fixture
    def contenders(self, tiny_int8: Path, tiny_fp32: Path, frame: np.ndarray) -> list[Contender]:
        found = [Contender(Classifier(path, num_threads=1)) for path in (tiny_int8, tiny_fp32)]
        for contender in found:
            contender.warm_up(frame, 0)
        return found

    @pytest.fixture
    def frame(self) -> np.ndarray:
        return np.full((48, 64, 3), 90, np.uint8)

    def test_precision_ends_them_before_the_time_is_over(self, contenders: list[Contender], frame: np.ndarray) -> None:
        rule = StoppingRule(seconds=500.0, precision=50.0)
        done = run_rounds(contenders, frame, rule, random.Random(0), baseline=contenders[1])
        assert done.ended_by == "precision"
        assert done.count >= 20

    def test_time_ends_them_where_the_precision_is_out_of_reach(
        self, contenders: list[Contender], frame: np.ndarray
    ) -> None:
        rule = StoppingRule(seconds=0.1, precision=1e-9)
        done = run_rounds(contenders, frame, rule, random.Random(0), baseline=contenders[1])
        assert (done.ended_by, done.count >= 5) == ("seconds", True)

    def test_an_interrupt_ends_them_and_keeps_whole_rounds(
        self, contenders: list[Contender], frame: np.ndarray
    ) -> None:
        def interrupt(count: int) -> None:
            if count == 3:
                # In the middle of a later round, as a hand at the keyboard does.
                threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)).start()

        done = run_rounds(contenders, frame, StoppingRule(seconds=500.0), random.Random(0), after_round=interrupt)
        assert done.ended_by == "interrupted"
        assert done.count >= 3
        assert [len(contender.turns) for contender in contenders] == [done.count] * 2
        assert gc.isenabled()

    @pytest.mark.parametrize(
        ("medians", "steady"),
        [([1.0, 1.0], False), ([9, 1.0, 1.01, 1.02], True), ([1.3, 1.2, 1.0], False), ([1.0, 1.0, 1.1], False)],
    )
    def test_steady_is_three_windows_alike(self, medians: list[float], steady: bool) -> None:
        assert is_steady(medians) is steady


class TestCommand:
    def test_a_terminated_run_leaves_what_it_measured(self, tiny_int8: Path, tmp_path: Path) -> None:
        kept = tmp_path / "report.json"
        code = (
            "import edge_runtime.benchmark.runner as runner, sys\nrunner.KEEP_EVERY_S = 0.0\n"
            f"from edge_runtime.cli import main\nsys.exit(main(['benchmark', {str(tiny_int8)!r}, '--num-threads', '1', "
            f"'--seconds', '500', '--json', {str(kept)!r}]))"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(600):
            if kept.exists():
                break
            threading.Event().wait(0.1)
        assert json.loads(kept.read_text())["ended_by"] in ("running", "interrupted")
        child.terminate()
        out, err = child.communicate(timeout=60)
        assert child.returncode == 130, err
        assert "it was interrupted" in out
        assert json.loads(kept.read_text())["ended_by"] == "interrupted"


class TestStatistics:
    def test_percentiles(self) -> None:
        timing = summarize([[float(value) for value in range(1, 102)]])
        assert (timing.count, timing.min_ms, timing.p50_ms, timing.p90_ms, timing.p99_ms) == (101, 1, 51, 91, 100)

    def test_a_true_ratio_is_found_through_noise_that_hits_both(self) -> None:
        rng = np.random.default_rng(0)
        noise = rng.lognormal(0, 0.5, 40)
        fast = [[2.0 * level * jitter for jitter in rng.normal(1, 0.05, 5)] for level in noise]
        slow = [[3.0 * level * jitter for jitter in rng.normal(1, 0.05, 5)] for level in noise]
        found = speedup(fast, slow, seed=1)
        assert found.ratio == pytest.approx(1.5, rel=0.03)
        assert 1.4 < found.low < 1.5 < found.high < 1.6
        assert speedup(fast, slow, seed=1) == found

    @given(TIMES, st.floats(0.05, 20))
    def test_a_constant_ratio_is_found_exactly(self, turns: list[list[float]], factor: float) -> None:
        slower = [[factor * ms for ms in turn] for turn in turns]
        found = speedup(turns, slower)
        assert found.ratio == pytest.approx(factor)
        assert found.low == pytest.approx(factor)
        assert found.high == pytest.approx(factor)

    @given(TIMES, st.randoms(use_true_random=False))
    def test_the_order_of_rounds_does_not_matter(self, turns: list[list[float]], order: random.Random) -> None:
        shuffled = order.sample(turns, len(turns))
        one, other = summarize(turns), summarize(shuffled)
        assert (one.p50_ms, one.low_ms, one.high_ms) == (other.p50_ms, other.low_ms, other.high_ms)
        assert one.mean_ms == pytest.approx(other.mean_ms)
        base = [[1.0]] * len(turns)
        assert speedup(turns, base) == speedup(shuffled, base)

    @given(TIMES)
    def test_an_interval_holds_its_median(self, turns: list[list[float]]) -> None:
        timing = summarize(turns)
        assert timing.min_ms <= timing.low_ms <= timing.p50_ms <= timing.high_ms
        found = speedup(turns, turns)
        assert (found.low, found.ratio, found.high) == (1, 1, 1)

    @given(st.integers(1, 5000).flatmap(lambda count: st.tuples(st.integers(0, count), st.just(count))))
    def test_the_interval_of_a_share_holds_it(self, case: tuple[int, int]) -> None:
        low, high = share_interval(*case)
        assert 0 <= low <= case[0] / case[1] + 1e-12
        assert case[0] / case[1] - 1e-12 <= high <= 1
        mirrored = share_interval(case[1] - case[0], case[1])
        assert mirrored == pytest.approx((1 - high, 1 - low))

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


class TestValidity:
    @pytest.mark.parametrize(
        ("change", "others", "words"),
        [
            ({"throttled": ("under-voltage",)}, 0.0, "slowed itself down (under-voltage)"),
            ({"on_battery": True}, 0.0, "on its battery"),
            ({}, 3.5, "took 3.5 of 4 cores"),
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
        assert "took 1.0 of 4 cores" in warning
        assert len([*invalid_reasons(machine, machine, 1.0, threads=4)]) == 1

    def test_a_machine_that_tells_nothing_is_taken_at_its_word(self, machine: Machine) -> None:
        assert [*invalid_reasons(machine, machine, None, threads=4)] == []
        assert [*machine_warnings(machine, None)] == []

    def test_it_is_said_in_big_letters(self, report: BenchmarkReport) -> None:
        text = format_text(replace(report, invalid=("it ran on its battery",)))
        assert "I N V A L I D" in text.splitlines()[1]
        assert "These figures don't count: it ran on its battery." in text
        assert format_markdown(replace(report, invalid=("it ran on its battery",))).startswith("# INVALID RUN")
        assert "I N V A L I D" not in format_text(replace(report, invalid=()))

    def test_int8_without_acceleration_is_named_with_what_would_change_it(
        self, report: BenchmarkReport, machine: Machine
    ) -> None:
        int8, fp32 = report.models
        no_symbols = replace(int8.backend, int8_kernels="off", int8_kernels_reason="was built without XNNPACK")
        for architecture, cure in (("armv7l", "A 64-bit system"), ("aarch64", "LiteRT")):
            on = replace(machine, architecture=architecture)
            (warning,) = model_warnings(on, [replace(int8, backend=no_symbols, steady=True)], 0.0)
            assert "INT8 RUNS WITHOUT ACCELERATION: was built without XNNPACK" in warning
            assert cure in warning
        pi4, pi5 = replace(machine, features=("NEON",)), replace(machine, features=("NEON", "dot product"))
        (warning,) = model_warnings(pi4, [replace(int8, steady=True)], 0.0)
        assert "no dot product" in warning
        assert "WITHOUT" not in warning
        assert [*model_warnings(pi5, [replace(int8, steady=True)], 0.0)] == []
        assert [*model_warnings(pi4, [replace(fp32, steady=True)], 0.0)] == []


class TestFormats:
    def test_text_has_a_row_a_model_and_a_sentence_that_admits_slowness(self, report: BenchmarkReport) -> None:
        int8, fp32 = report.models
        slow = replace(int8, inference_speedup=Speedup(0.5, 0.4, 0.6), pipeline_speedup=Speedup(0.6, 0.55, 0.65))
        text = format_text(replace(report, models=(slow, fp32), invalid=()))
        lines = text.splitlines()
        assert lines[1].startswith(int8.name)
        assert lines[2].startswith(fp32.name)
        assert (
            f"{int8.name} (INT8) is slower than {fp32.name} (FP32): 0.50 times (95% interval 0.40–0.60) its speed in "
            "inference alone, 0.60 times (95% interval 0.55–0.65) in the whole pipeline."
        ) in lines
        assert "not measured here" in text
        assert "threads: 1" in text

    def test_markdown_tables_have_as_many_cells_in_each_row(self, report: BenchmarkReport) -> None:
        failed = replace(report, failures=(Failure("a|b.tflite", "a|b.tflite", "it is damaged"),))
        blocks = format_markdown(replace(failed, invalid=())).split("\n\n")
        tables = [block.splitlines() for block in blocks if block.startswith("|")]
        assert [len(table) for table in tables] == [5, 4, 4]
        for table in tables:
            assert len({row.replace("\\|", "").count("|") for row in table}) == 1
        assert any(line.startswith("- Machine: ") for line in blocks[-1].splitlines())

    def test_the_picture_has_bars_with_intervals_and_a_point_for_each_known_accuracy(
        self, report: BenchmarkReport
    ) -> None:
        int8, fp32 = report.models
        strange = replace(int8, name="<a & b>.tflite")
        svg = ElementTree.fromstring(format_svg(replace(report, models=(strange, replace(fp32, accuracy=None)))))
        tags = [element.tag.rpartition("}")[2] for element in svg.iter()]
        assert tags.count("rect") == 1 + 2 * 2  # the ground, and two bars a model
        assert tags.count("circle") == 1
        texts = [element.text or "" for element in svg.iter() if element.text]
        assert any(text.startswith("1  <a & b>.tflite, INT8") for text in texts)
        width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
        for bar in (element for element in svg.iter() if element.tag.endswith("rect")):
            assert float(bar.get("x", 0)) + float(bar.get("width", 0)) <= width
            assert float(bar.get("y", 0)) + float(bar.get("height", 0)) <= height

    def test_the_picture_says_that_a_run_is_invalid(self, report: BenchmarkReport) -> None:
        assert "INVALID RUN" in format_svg(replace(report, invalid=("it ran on its battery",)))
        assert "INVALID" not in format_svg(replace(report, invalid=()))
        bare = tuple(replace(model, accuracy=None) for model in report.models)
        assert "circle" not in format_svg(replace(report, models=bare))

    def test_csv_has_a_line_for_each_model(self, report: BenchmarkReport) -> None:
        rows = [*csv.DictReader(io.StringIO(format_csv(report)))]
        assert [row["name"] for row in rows] == [model.name for model in report.models]
        assert float(rows[0]["inference_p50_ms"]) == report.models[0].inference.p50_ms
        assert rows[1]["inference_speedup_ratio"] == ""
