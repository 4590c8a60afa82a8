from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime.errors import FrameError, ModelError
from edge_runtime.inference.classifier import Classifier
from edge_runtime.inference.options import ClassifierOptions
from edge_runtime.live_loop.decision import DecisionRules
from edge_runtime.live_loop.loop import live
from edge_runtime.model.file import read_model_file
from edge_runtime.model.manifest import UnknownThreshold
from edge_runtime.sinks.json_lines import line_of
from edge_runtime.sources import Frame, Source
from edge_runtime.types import InputContract
from tests.support.tiny import CONTRACT, LABELS, TinyModels, picture, right_share
from trainer.export.model_file import restamp

GREY = np.full((48, 64, 3), 128, np.uint8)


@pytest.fixture(params=["fp32", "int8"])
def tiny(request: pytest.FixtureRequest, tiny_models: TinyModels) -> Path:
    """A float and a quantized model file."""
    path: Path = getattr(tiny_models, request.param)
    return path


class TestAnswers:
    def test_are_right_on_pictures_never_seen(self, tiny: Path) -> None:
        assert right_share(tiny) >= 0.95

    @pytest.mark.parametrize("label", LABELS)
    def test_say_class_and_score(self, tiny: Path, label: str) -> None:
        with Classifier(tiny) as classifier:
            prediction = classifier.classify(picture(label), color="rgb")
        assert prediction.top is not None
        assert (prediction.top.label, prediction.top.index) == (label, LABELS.index(label))
        assert 0.5 < prediction.top.score <= 1
        assert [category.score for category in prediction.categories] == sorted(
            (category.score for category in prediction.categories), reverse=True
        )
        assert sum(category.score for category in prediction.categories) == pytest.approx(1, abs=0.02)

    def test_are_the_same_for_bgr_and_rgb_of_one_picture(self, tiny: Path) -> None:
        rgb = picture("red")
        with Classifier(tiny) as classifier:
            answers = classifier.scores(rgb, color="rgb")
            assert (classifier.scores(rgb[:, :, ::-1], color="bgr") == answers).all()
            assert (classifier.scores(rgb[:, :, ::-1]) == answers).all()
            wrong = classifier.classify(rgb, color="bgr").top
        assert wrong is not None
        assert wrong.label == "blue"

    def test_are_the_scores_of_the_network_that_was_trained(self, tiny_models: TinyModels) -> None:
        images = tiny_models.pixels.images[:12]
        expected = tiny_models.keras((images.astype(np.float32) - 128) / 127.5, training=False).numpy()
        for path, tolerance in ((tiny_models.fp32, 1e-4), (tiny_models.int8, 0.1)):
            with Classifier(path) as classifier:
                for image, scores in zip(images, expected, strict=True):
                    assert classifier.scores(image, color="rgb") == pytest.approx(scores, abs=tolerance)

    def test_are_the_same_in_both_files(self, tiny_models: TinyModels) -> None:
        with Classifier(tiny_models.fp32) as fp32, Classifier(tiny_models.int8) as int8:
            for seed in range(30):
                frame = picture(LABELS[seed % 3], seed=seed)
                assert int8.scores(frame) == pytest.approx(fp32.scores(frame), abs=0.1)

    def test_time_each_part(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier:
            prediction = classifier.classify(picture("red", height=480, width=640))
        assert prediction.preprocess_ms > 0
        assert prediction.inference_ms > 0
        assert prediction.postprocess_ms > 0

    def test_from_many_threads_are_those_of_one(self, tiny: Path) -> None:
        frames = [picture(LABELS[seed % 3], seed=seed) for seed in range(50)]
        with Classifier(tiny, num_threads=1) as classifier, ThreadPoolExecutor(8) as threads:
            alone = [classifier.classify(frame, color="rgb").categories for frame in frames]
            shuffled = [np.random.default_rng(i).permutation(len(frames)) for i in range(8)]
            together = threads.map(
                lambda order: {int(k): classifier.classify(frames[k], color="rgb").categories for k in order}, shuffled
            )
            for answers in together:
                assert [answers[k] for k in range(len(frames))] == alone

    def test_of_every_kind_may_be_asked_for_at_once(self, tiny: Path) -> None:
        frames = [picture(LABELS[seed % 3], seed=seed, height=32, width=32) for seed in range(400)]
        with Classifier(tiny, num_threads=1) as classifier, ThreadPoolExecutor(8) as threads:
            alone = [classifier.raw_output(frame).tolist() for frame in frames]
            kinds = (classifier.classify, classifier.scores, lambda frame: classifier.invoke())
            others = [threads.submit(lambda k=k: [kinds[k % 3](frame) for frame in frames]) for k in range(6)]
            together = [classifier.raw_output(frame).tolist() for frame in frames]
            for other in others:
                other.result()
        assert together == alone

    def test_of_many_classifiers_at_once_are_those_of_each_alone(self, tiny_models: TinyModels) -> None:
        paths = [(tiny_models.fp32, tiny_models.int8)[number % 2] for number in range(12)]
        frames = [picture(LABELS[seed % 3], seed=seed) for seed in range(30)]

        def answers(path: Path) -> list[bytes]:
            """Predictions of a classifier that is opened and closed while others are."""
            found = []
            for _ in range(3):
                with Classifier(path, num_threads=1) as classifier:
                    found = [classifier.raw_output(frame).tobytes() for frame in frames]
            return found

        alone = {path: answers(path) for path in set(paths)}
        with ThreadPoolExecutor(len(paths)) as threads:
            for path, together in zip(paths, threads.map(answers, paths), strict=True):
                assert together == alone[path]

    def test_leave_the_frame_alone(self, tiny: Path) -> None:
        frame = picture("red", height=32, width=32)
        before = frame.copy()
        with Classifier(tiny) as classifier:
            classifier.classify(frame)
        assert (frame == before).all()

    def test_belong_to_the_caller(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier:
            first = classifier.scores(picture("red"), color="rgb")
            raw = classifier.raw_output(picture("red"), color="rgb")
            kept, kept_raw = first.copy(), raw.copy()
            classifier.scores(picture("blue"), color="rgb")
        assert (first == kept).all()
        assert (raw == kept_raw).all()


class TestTopK:
    def test_cuts_the_list(self, tiny: Path) -> None:
        frame = picture("green")
        with Classifier(tiny) as classifier:
            every = classifier.classify(frame, color="rgb").categories
            assert len(every) == 3
            for top_k in (1, 2, 3, 100):
                assert classifier.classify(frame, color="rgb", top_k=top_k).categories == every[:top_k]

    def test_is_at_least_one(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier, pytest.raises(FrameError, match="top_k must be at least 1, got 0"):
            classifier.classify(picture("red"), top_k=0)

    def test_a_threshold_may_leave_nothing(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier:
            prediction = classifier.classify(picture("red"), score_threshold=1.01)
        assert prediction.categories == ()
        assert prediction.top is None


class TestFrames:
    @pytest.mark.parametrize(
        "bad",
        [
            np.zeros((48, 64, 3), np.float32),
            np.zeros((48, 64, 4), np.uint8),
            np.zeros(48 * 64, np.uint8),
            np.zeros((1, 48, 64, 3), np.uint8),
            np.zeros((0, 64, 3), np.uint8),
            b"\xff\xd8",
            None,
        ],
        ids=lambda bad: f"{type(bad).__name__} {getattr(bad, 'dtype', '')} {getattr(bad, 'shape', '')}",
    )
    def test_that_are_none_are_refused_and_the_next_one_is_classified(self, tiny: Path, bad: Any) -> None:
        with Classifier(tiny) as classifier:
            for ask in (classifier.classify, classifier.scores, classifier.raw_output):
                with pytest.raises(FrameError, match=r"Expected a|frame is None"):
                    ask(bad)
            top = classifier.classify(picture("red"), color="rgb").top
        assert top is not None
        assert top.label == "red"

    def test_that_are_grey_are_taken(self, tiny: Path) -> None:
        grey = picture("red")[:, :, 0]
        with Classifier(tiny) as classifier:
            same = np.repeat(grey[:, :, None], 3, axis=2)
            assert (classifier.scores(grey) == classifier.scores(same)).all()


class TestClosing:
    def test_ends_its_use(self, tiny: Path) -> None:
        classifier = Classifier(tiny)
        classifier.close()
        classifier.close()
        for ask in (classifier.classify, classifier.scores, classifier.raw_output):
            with pytest.raises(FrameError, match="closed"):
                ask(picture("red"))
        with pytest.raises(FrameError, match="closed"):
            classifier.invoke()
        assert classifier.labels == LABELS


class TestWhatTheCallerGives:
    def test_labels_go_before_the_files(self, tiny: Path) -> None:
        with Classifier(tiny, labels=["b", "g", "r"]) as classifier:
            assert classifier.labels == ("b", "g", "r")
            top = classifier.classify(picture("red"), color="rgb").top
        assert top is not None
        assert top.label == "r"

    def test_a_contract_goes_before_the_files(self, tiny: Path) -> None:
        swapped = InputContract(32, 32, color="bgr")
        with Classifier(tiny, contract=swapped) as classifier:
            assert classifier.contract == swapped
            top = classifier.classify(picture("red"), color="rgb").top
        assert top is not None
        assert top.label == "blue"

    def test_a_contract_of_another_size_is_refused(self, tiny: Path) -> None:
        with pytest.raises(ModelError, match=r"\(32, 32, 3\) for .*, got \(64, 64, 3\)"):
            Classifier(tiny, contract=InputContract(64, 64))

    @pytest.mark.parametrize("labels", [["one"], ["a", "b", "c", "d"], []])
    def test_labels_have_to_be_as_many_as_the_outputs(self, tiny: Path, labels: list[str]) -> None:
        with pytest.raises(ModelError, match=f"Expected 3 labels for 3 outputs, got {len(labels)}"):
            Classifier(tiny, labels=labels)

    def test_a_bare_model_works_with_all_of_it(self, tiny_models: TinyModels, tmp_path: Path) -> None:
        path = tmp_path / "bare.tflite"
        path.write_bytes(tiny_models.fp32_content)
        with pytest.raises(ModelError, match="contract="):
            Classifier(path, labels=LABELS)
        with pytest.raises(ModelError, match="labels="):
            Classifier(path, contract=CONTRACT)
        with Classifier(path, labels=LABELS, contract=CONTRACT) as bare, Classifier(tiny_models.fp32) as exported:
            assert bare.model.manifest is None
            assert bare.model.activation == "softmax"
            assert bare.scores(picture("red")) == pytest.approx(exported.scores(picture("red")), abs=1e-6)

    def test_the_path_may_be_text(self, tiny: Path) -> None:
        with Classifier(str(tiny)) as classifier:
            assert classifier.model.path == tiny


class TestModelsFromElsewhere:
    def test_a_quantized_one_explains_itself_and_its_float_sibling_is_explained(self, shared_data: Path) -> None:
        import cv2

        models = shared_data / "models"
        contract = InputContract(224, 224, crop="stretch", interpolation="linear", mean=(127.5,), std=(127.5,))
        video = cv2.VideoCapture(str(shared_data / "video" / "bottle-detection.mp4"))
        frames = [video.read()[1] for _ in range(481)]
        with Classifier(models / "mobilenet_v1_0.25_224_quant.tflite") as quant:
            assert quant.contract == InputContract(224, 224, "rgb", "stretch", "linear", (128.0,), (128.0,))
            assert len(quant.labels) == 1001
            float_model = models / "mobilenet_v1_0.25_224_float.tflite"
            with pytest.raises(ModelError, match="contract="):
                Classifier(float_model, labels=quant.labels)
            with Classifier(float_model, labels=quant.labels, contract=contract) as sibling:
                for index, label in ((60, "swab"), (480, "lab coat")):
                    for classifier in (quant, sibling):
                        top = classifier.classify(frames[index]).top
                        assert top is not None
                        assert top.label == label


class TestFilesThatAreNoModel:
    @pytest.mark.parametrize("content", [b"", b"TFL3", b"\x00\x00\x00\x00TFL3", b"hello, world" * 100, bytes(4096)])
    def test_are_refused_in_a_sentence(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.tflite is ") as raised:
            Classifier(path)
        assert "\n" not in str(raised.value)

    def test_that_are_missing_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"No such file.*Check the path"):
            Classifier(tmp_path / "none.tflite")
        with pytest.raises(ModelError, match=r"is a folder. Name the \.tflite file"):
            Classifier(tmp_path)

    def test_that_are_cut_anywhere_are_refused_before_any_interpreter_sees_them(
        self, tiny: Path, tmp_path: Path
    ) -> None:
        content = tiny.read_bytes()
        for length in (*range(0, len(content), 97), len(content) - 1):
            path = tmp_path / "cut.tflite"
            path.write_bytes(content[:length])
            with pytest.raises(ModelError, match=r"cut\.tflite"):
                Classifier(path)

    def test_that_are_cut_end_no_process(self, tiny_models: TinyModels, tmp_path: Path) -> None:
        # Without a manifest, and with every argument given, only the graph check protects the interpreter.
        content = tiny_models.fp32_content
        path = tmp_path / "bare.tflite"
        code = f"""
from pathlib import Path
from edge_runtime import Classifier, InputContract, ModelError
path, content = Path({str(path)!r}), {content!r}
refused = 0
for length in [*range(0, len(content), 41), len(content) - 1]:
    path.write_bytes(content[:length])
    try:
        Classifier(path, labels={LABELS!r}, contract=InputContract(32, 32), num_threads=1).invoke()
    except ModelError:
        refused += 1
print(refused)
"""
        done = subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > 100


def test_the_scores_may_be_any_of_the_outputs(tmp_path: Path) -> None:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3), tf.float32)])
    def two_outputs(image: Any) -> Any:
        mean = tf.reduce_mean(image, axis=(1, 2))
        # The converter sorts outputs by name.
        return {"a_map": image * 2.0, "b_scores": tf.nn.softmax(mean)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([two_outputs.get_concrete_function()], tf.Module())
    path = tmp_path / "two.tflite"
    path.write_bytes(converter.convert())
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[:, :, 1] = 200
    with Classifier(path, labels=LABELS, contract=InputContract(4, 4, mean=(0.0,), std=(100.0,))) as classifier:
        assert classifier.model.output_index == 1
        expected = np.exp([0.0, 2.0, 0.0]) / np.exp([0.0, 2.0, 0.0]).sum()
        assert classifier.scores(frame, color="rgb") == pytest.approx(expected, abs=1e-5)


class TestUnknown:
    @pytest.fixture
    def undecided(self, tiny: Path, tmp_path: Path) -> Path:
        """A model whose unknown threshold lies between the certainties of a gray and a red picture."""
        path = tmp_path / tiny.name
        path.write_bytes(tiny.read_bytes())
        with Classifier(tiny, unknown_threshold=1) as classifier:
            grey, red = (classifier.classify(image, color="rgb").certainty for image in (GREY, picture("red")))
        manifest = read_model_file(path).manifest
        assert manifest is not None
        assert grey is not None
        assert red is not None
        assert grey < red
        restamp(path, replace(manifest, unknown=UnknownThreshold((grey + red) / 2, 0.95, 100)))
        return path

    def test_is_said_of_pictures_below_the_models_own_threshold(self, undecided: Path) -> None:
        with Classifier(undecided) as classifier:
            grey, red = (classifier.classify(image, color="rgb") for image in (GREY, picture("red")))
        assert (grey.is_unknown, red.is_unknown) == (True, False)
        assert grey.top is not None  # still the best guess
        assert grey.to_dict()["is_unknown"] is True

    def test_the_callers_threshold_goes_before_the_models(self, undecided: Path) -> None:
        for threshold, expected in ((1.0, True), (0.0, None), (1e-9, False)):
            with Classifier(undecided, unknown_threshold=threshold) as classifier:
                assert classifier.classify(GREY, color="rgb").is_unknown is expected

    def test_is_not_said_without_a_threshold(self, tiny: Path) -> None:
        with Classifier(tiny) as classifier:
            prediction = classifier.classify(GREY)
        assert (prediction.certainty, prediction.is_unknown) == (None, None)
        assert "is_unknown" not in prediction.to_dict()

    @pytest.mark.parametrize(("options", "words"), [({}, "from 0 to 1"), ({"activation": "sigmoid"}, "sigmoid")])
    def test_thresholds_that_make_no_sense_are_refused(self, tiny: Path, options: dict[str, Any], words: str) -> None:
        with pytest.raises(ModelError, match=words):
            Classifier(tiny, unknown_threshold=0.5 if options else 1.5, **options)

    def test_another_process_has_the_same_threshold(self, undecided: Path) -> None:
        for threshold in (None, 0.0, 0.4):
            with Classifier(undecided, unknown_threshold=threshold) as classifier:
                options = ClassifierOptions.from_dict(classifier.resolved_options.to_dict())
            with Classifier.from_options(options) as again:
                assert again.unknown_threshold == classifier.unknown_threshold

    def test_a_live_decision_leaves_unknown_frames_out(self, undecided: Path) -> None:
        class Greys(Source):
            def __init__(self) -> None:
                self.frames = iter(Frame(GREY, index, index / 10) for index in range(8))

            def read(self) -> Frame | None:
                return next(self.frames, None)

            def close(self) -> None:
                pass

            def describe(self) -> str:
                return "grey"

        rules = DecisionRules(smoothing="none", enter=0.2, leave=0.1, dwell_s=0.0)
        for threshold, decided in ((None, False), (0.0, True)):
            with Classifier(undecided, unknown_threshold=threshold) as classifier:
                results = list(live(classifier, Greys(), decision=rules))
            assert results
            assert all((r.decision is not None and r.decision.label is not None) == decided for r in results)
            assert all(("is_unknown" in line_of(r)) != decided for r in results)
