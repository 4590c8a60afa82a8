"""Source frame rate, accuracy, sustained run and energy."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.benchmark import BenchmarkReport, benchmark, format_text
from edge_runtime.benchmark.measures.accuracy import find_photos, measure_accuracy
from edge_runtime.benchmark.measures.energy import find_meter, measure_energy
from edge_runtime.benchmark.measures.source_speed import measure_capture
from edge_runtime.benchmark.measures.sustained import sustain
from edge_runtime.benchmark.report import Capture, Sample, Sustained
from edge_runtime.benchmark.timing.statistics import summarize
from edge_runtime.device.machine import State
from edge_runtime.errors import SourceError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.sources import open_source
from edge_runtime.sources.pictures import read_picture
from edge_runtime.sources.synthetic import SyntheticSource
from tests.support.tiny import picture


class TestCapture:
    def test_a_source_is_measured_and_its_frame_classified(self, tiny_int8: Path) -> None:
        report = benchmark([tiny_int8], source="synthetic", rounds=1, warmup=0, num_threads=1)
        assert report.capture is not None
        assert report.capture.timing.count > 1
        assert (report.frame_height, report.frame_width) == (480, 640)
        assert report.sentences()[0].startswith("The source delivers ")
        assert "bottleneck" in report.sentences()[1]
        assert "synthetic scene" in format_text(report)
        assert json.loads(json.dumps(report.to_dict()))["capture"]["timing"]["fps"] > 0

    @pytest.mark.parametrize(("factor", "limit"), [(0.5, "the source is the"), (2, "inference is the")])
    def test_the_slower_of_the_two_is_the_limit(self, report: BenchmarkReport, factor: float, limit: str) -> None:
        model = report.models[0]
        slow = replace(model, inference=replace(model.inference, mean_ms=100.0))
        timing = summarize([[model.pipeline.mean_ms / factor]])
        found = replace(report, models=(slow,), capture=Capture("a camera", True, timing)).sentences()
        assert f"{limit} bottleneck" in found[-1]

    def test_a_single_picture_counts_too_and_an_empty_source_is_an_error(self, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "one.png"), np.zeros((20, 30, 3), np.uint8))
        with open_source(tmp_path / "one.png") as source:
            capture, frame = measure_capture(source)
        assert capture.timing.count == 1
        assert frame.shape == (20, 30, 3)
        with pytest.raises(SourceError, match="No frames from"):
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
        assert "(manifest)" not in format_text(report)

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
        with pytest.raises(SourceError, match=r"all models share \(blue, green, red\); found: photos"):
            benchmark([tiny_int8], photos=tmp_path, seconds=500)
        with pytest.raises(SourceError, match="missing not found"):
            benchmark([tiny_int8], photos=tmp_path / "missing", seconds=500)


class TestSustained:
    def test_watches_the_machine_while_one_model_runs(self, tiny_int8: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("edge_runtime.benchmark.measures.sustained.SHORTEST_SAMPLE_S", 0.05)
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
        assert "kept 54% of its initial frame rate over 8.3 minutes" in text
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

    def test_counters_of_packages_are_added_also_when_they_wrap_around(self, rapl: Path) -> None:
        meter = find_meter(rapl)
        assert meter is not None

        def work() -> None:
            folder = rapl / "sys/class/powercap"
            (folder / "intel-rapl:0/energy_uj").write_text("3500000")
            (folder / "intel-rapl:1/energy_uj").write_text("500000")
            (folder / "intel-rapl:2/energy_uj").write_text("8000000")

        joules, seconds = meter.measure(work)
        assert joules == pytest.approx(2.5 + 8.5)
        assert seconds > 0

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
        assert energy.busy_w == pytest.approx(2.5)
        assert energy.idle_w == pytest.approx(2.5)
        assert energy.per_frame_mj > 0

    def test_is_absent_where_the_machine_has_no_meter(self, tmp_path: Path) -> None:
        assert find_meter(tmp_path) is None

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_counter_that_may_not_be_read_is_none(self, rapl: Path) -> None:
        for counter in rapl.rglob("energy_uj"):
            counter.chmod(0)
        assert find_meter(rapl) is None
