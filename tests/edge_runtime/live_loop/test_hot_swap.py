"""A replaced model file takes over between two frames, or is rejected; it is never read in part."""

from __future__ import annotations

import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import FrameError, ModelError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.isolation.isolated_interpreter import IsolatedInterpreter
from edge_runtime.inference.isolation.limits import IsolationLimits
from edge_runtime.live_loop.decision import DecisionRules
from edge_runtime.live_loop.hot_swap import ModelWatch
from edge_runtime.live_loop.loop import live
from edge_runtime.sources.synthetic import SyntheticSource
from tests.support.tiny import CONTRACT, LABELS, TinyModels, picture
from tests.support.waiting import wait_until
from trainer.export.signing import new_key, sign_model

pytestmark = pytest.mark.usefixtures("no_thread_is_left_behind")

OTHERS = ("x", "y", "z")
SOON_S = 0.02
RED = picture("red")


@pytest.fixture
def model(tiny_int8: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(tiny_int8, tmp_path / "model.tflite"))


@pytest.fixture(scope="module")
def renamed(tiny_models: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float model with other class names."""
    from trainer.export.model_file import Exporter

    path = tmp_path_factory.mktemp("renamed") / "renamed.tflite"
    exporter = Exporter(OTHERS, CONTRACT, provenance={"backbone": "tiny"})
    exporter.write(path, tiny_models.fp32_content, check=False)
    return path


def replace(path: Path, by: Path) -> None:
    """Replace the file as recommended: copy next to it, then rename."""
    part = path.with_suffix(".part")
    shutil.copy(by, part)
    part.replace(path)


class TestWatch:
    def test_a_new_file_takes_over_when_it_is_let(self, model: Path, renamed: Path) -> None:
        with Classifier(model) as classifier, ModelWatch(classifier, interval_s=SOON_S) as watch:
            replace(model, renamed)
            wait_until(lambda: watch._fresh is not None)
            assert classifier.labels == LABELS  # nothing changes before `update`
            assert watch.update()
            assert not watch.update()
            assert classifier.labels == OTHERS
            with Classifier(renamed) as expected:
                assert (classifier.scores(RED) == expected.scores(RED)).all()
                assert classifier.model.manifest == expected.model.manifest

    def test_it_is_made_with_the_arguments_of_the_first(self, model: Path, renamed: Path) -> None:
        arguments = {"labels": ("a", "b", "c"), "num_threads": 1, "unknown_threshold": 0.25}
        with (
            Classifier(model, **arguments) as classifier,  # type: ignore[arg-type]
            ModelWatch(classifier, at_once=True, interval_s=SOON_S),
        ):
            replace(model, renamed)
            wait_until(lambda: not classifier.model.is_quantized)
            assert classifier.labels == ("a", "b", "c")
            assert (classifier.backend.num_threads, classifier.unknown_threshold) == (1, 0.25)

    def test_a_file_that_says_the_same_is_no_new_one(self, model: Path, tiny_int8: Path) -> None:
        with Classifier(model) as classifier, ModelWatch(classifier, at_once=True, interval_s=SOON_S):
            before = classifier.model
            replace(model, tiny_int8)
            os.utime(model, (1, 1))
            time.sleep(20 * SOON_S)
            assert classifier.model is before

    def test_what_is_no_model_is_refused_once_and_the_next_one_taken(
        self, model: Path, renamed: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Classifier(model) as classifier, ModelWatch(classifier, at_once=True, interval_s=SOON_S):
            answer = classifier.scores(RED)
            model.write_bytes(renamed.read_bytes()[:3000])
            wait_until(lambda: "is truncated or damaged" in caplog.text)
            time.sleep(10 * SOON_S)
            assert caplog.text.count("keeps running") == 1
            assert (classifier.scores(RED) == answer).all()
            model.unlink()
            time.sleep(5 * SOON_S)
            assert (classifier.scores(RED) == answer).all()
            shutil.copy(renamed, model)
            wait_until(lambda: classifier.labels == OTHERS)
        assert len(caplog.records) == 2

    def test_what_the_caller_does_not_accept_is_refused(
        self, model: Path, renamed: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        def accept(fresh: Classifier) -> None:
            raise ModelError(f"Expected {LABELS}, got {fresh.labels}.")

        with Classifier(model) as classifier, ModelWatch(classifier, accept=accept, at_once=True, interval_s=SOON_S):
            replace(model, renamed)
            wait_until(lambda: "got ('x', 'y', 'z')." in caplog.text)
            assert classifier.labels == LABELS

    def test_a_file_that_is_written_slowly_is_never_half_read(
        self, model: Path, renamed: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        content = renamed.read_bytes()
        with Classifier(model) as classifier, ModelWatch(classifier, at_once=True, interval_s=SOON_S):
            answers = {classifier.scores(RED).tobytes()}
            with model.open("wb", buffering=0) as file:
                for start in range(0, len(content), 300):
                    file.write(content[start : start + 300])
                    answers.add(classifier.scores(RED).tobytes())
                    time.sleep(SOON_S / 2)
            assert len(answers) == 1
            wait_until(lambda: classifier.labels == OTHERS)
            with Classifier(renamed) as expected:
                assert (classifier.scores(RED) == expected.scores(RED)).all()

    def test_where_a_signature_is_required_the_new_file_waits_for_its_own(
        self, model: Path, renamed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        private, public = new_key(tmp_path / "door")
        sign_model(model, private)
        with (
            Classifier(model, require_signature=public) as classifier,
            ModelWatch(classifier, at_once=True, interval_s=SOON_S),
        ):
            replace(model, renamed)
            wait_until(lambda: "keeps running" in caplog.text)
            time.sleep(5 * SOON_S)
            assert classifier.labels == LABELS
            sign_model(model, private)
            wait_until(lambda: classifier.labels == OTHERS)

    def test_an_isolated_one_stays_isolated(self, model: Path, renamed: Path) -> None:
        with (
            Classifier(model, num_threads=1, isolation=IsolationLimits()) as classifier,
            ModelWatch(classifier, at_once=True, interval_s=SOON_S),
        ):
            replace(model, renamed)
            wait_until(lambda: classifier.labels == OTHERS)
            assert isinstance(classifier._interpreter, IsolatedInterpreter)
            with Classifier(renamed, num_threads=1) as expected:
                assert (classifier.scores(RED) == expected.scores(RED)).all()

    def test_many_threads_get_the_answers_of_one_model_or_of_the_other(self, model: Path, renamed: Path) -> None:
        frames = [picture(label, seed=seed) for seed in range(5) for label in LABELS]
        with Classifier(model, num_threads=1) as classifier, Classifier(renamed, num_threads=1) as other:
            right = [
                {tuple((c.label, c.score) for c in one.classify(frame).categories) for one in (classifier, other)}
                for frame in frames
            ]
            stop = threading.Event()

            def ask(seed: int) -> int:
                rng, asked = np.random.default_rng(seed), 0
                while not stop.is_set():
                    index = int(rng.integers(len(frames)))
                    answer = classifier.classify(frames[index]).categories
                    assert tuple((c.label, c.score) for c in answer) in right[index]
                    assert classifier.scores(frames[index]).shape == (3,)
                    asked += 1
                return asked

            with ThreadPoolExecutor(4) as threads, ModelWatch(classifier, at_once=True, interval_s=SOON_S):
                asked = [threads.submit(ask, seed) for seed in range(4)]
                try:
                    keep = Path(shutil.copy(model, model.with_name("first.tflite")))
                    for source, labels in ((renamed, OTHERS), (keep, LABELS)) * 3:
                        replace(model, source)
                        wait_until(lambda labels=labels: classifier.labels == labels)
                finally:
                    stop.set()
                assert sum(future.result() for future in asked) > 50


class TestLive:
    def test_the_new_model_answers_from_one_frame_to_the_next(self, model: Path, renamed: Path) -> None:
        camera = SyntheticSource(pace="realtime", fps=100)
        labels: list[tuple[str, ...]] = []
        with Classifier(model, num_threads=1) as classifier:
            results = live(classifier, camera, decision=DecisionRules(), watch_model=True)
            for result in results:
                labels.append(tuple(sorted(category.label for category in result.prediction.categories)))
                if len(labels) == 5:
                    replace(model, renamed)
                if labels[-1] == OTHERS:
                    break
                assert len(labels) < 3000
            assert set(labels) == {LABELS, OTHERS}
            # Decisions use the new classes, too.
            for _, result in zip(range(300), results, strict=False):
                assert result.decision is not None
                assert result.decision.label in (None, *OTHERS)
            results.close()

    def test_a_model_that_the_rules_do_not_fit_is_refused(
        self, model: Path, renamed: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with Classifier(model, num_threads=1) as classifier:
            rules = DecisionRules(allow=("red",))
            results = live(classifier, SyntheticSource(pace="realtime"), decision=rules, watch_model=True)
            next(results)
            replace(model, renamed)
            for _ in results:
                if "keeps running" in caplog.text:
                    break
            results.close()
            assert classifier.labels == LABELS
        assert "The model has no class red to allow or deny. Its classes: x, y, z." in caplog.text


class TestInPlace:
    @pytest.mark.parametrize("kernels", ["auto", "off"])
    def test_a_file_that_is_cut_short_or_written_over_changes_no_answer(self, model: Path, kernels: str) -> None:
        with Classifier(model, num_threads=1, int8_kernels=kernels) as classifier:  # type: ignore[arg-type]
            answer = classifier.scores(RED)
            model.write_bytes(bytes(model.stat().st_size))
            assert (classifier.scores(RED) == answer).all()
            os.truncate(model, 0)  # would crash the process here if the file were memory-mapped
            assert (classifier.scores(RED) == answer).all()


class TestTakeOver:
    def test_uses_the_other_up(self, model: Path, renamed: Path) -> None:
        with Classifier(model) as classifier, Classifier(renamed) as other:
            classifier.take_over(other)
            with pytest.raises(FrameError, match="closed"):
                other.classify(RED)
            with pytest.raises(FrameError, match="closed"):
                classifier.take_over(other)
            assert classifier.labels == OTHERS
            assert classifier.classify(RED).top is not None

    def test_opens_nothing_that_was_closed(self, model: Path, renamed: Path) -> None:
        classifier = Classifier(model)
        classifier.close()
        with Classifier(renamed) as other, pytest.raises(FrameError, match="closed"):
            classifier.take_over(other)
