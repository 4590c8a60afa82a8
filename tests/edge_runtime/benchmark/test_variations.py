"""One model is measured in several settings, and the best number of threads is remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.benchmark import benchmark, sweep_threads, variations
from edge_runtime.benchmark.measures.threads import best_threads
from edge_runtime.benchmark.report import ThreadTrial
from edge_runtime.benchmark.timing.statistics import summarize
from edge_runtime.cli.main import main
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.device_cache import remember_threads, remembered_threads, usable_cores
from edge_runtime.inference.interpreter import installed_backends
from edge_runtime.inference.options import ClassifierOptions


class TestVariations:
    def test_each_combination_that_differs_is_a_row(self, tiny_int8: Path, tiny_fp32: Path) -> None:
        options = {"backends": installed_backends(), "int8_kernels": ("on", "off"), "num_threads": (1, 2)}
        count = len(installed_backends())
        int8 = variations(ClassifierOptions(str(tiny_int8)), **options)
        assert len(int8) == len(set(int8)) == 4 * count
        assert len(variations(ClassifierOptions(str(tiny_fp32)), **options)) == 2 * count
        assert variations(ClassifierOptions("missing.tflite")) == (ClassifierOptions("missing.tflite"),)
        assert len(variations(ClassifierOptions("missing.tflite"), int8_kernels=("on", "off"))) == 1

    def test_every_backend_and_kernel_is_measured(self, tiny_int8: Path) -> None:
        rows = variations(
            ClassifierOptions(str(tiny_int8)),
            backends=installed_backends(),
            int8_kernels=("auto", "off"),
            num_threads=(1,),
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
        sweep = sweep_threads(ClassifierOptions(str(tiny_int8)), np.zeros((48, 64, 3), np.uint8), seconds=0.1)
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
        assert "fastest in a sweep on this machine" in capsys.readouterr().out

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
