"""Multi-label photos, from the list to the device."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Classifier, DecisionRules, live, open_source, verify_model
from edge_runtime.cli.main import main as runtime_cli
from edge_runtime.errors import ModelError
from edge_runtime.inference.golden import all_passed
from edge_runtime.model.file import read_model_file
from edge_runtime.model.manifest import Manifest
from trainer.cli.main import main as trainer_cli
from trainer.config import Recipe
from trainer.errors import CompressionError, ConversionError, DatasetError, RecipeError
from trainer.evaluation.evaluate import evaluate_photos
from trainer.evaluation.multi_label import MultiLabelEvaluation, read_evaluation
from trainer.export.model_file import restamp
from trainer.runs.artifacts import read_latest
from trainer.runs.run import load_run
from trainer.types import RunResult
from trainer.workflows.external.compress import Target, compress
from trainer.workflows.external.quantize import open_external, quantize_keras_model
from trainer.workflows.train.pipeline import train

if TYPE_CHECKING:
    from tests.support.tiny import TinyModels

CLASSES = ("blue", "green", "red")
CHANNEL = {"blue": 2, "green": 1, "red": 0}
QUICK = Recipe.from_dict(
    {
        "model": {"backbone": "basic_cnn", "input_size": 32, "weights": "none"},
        "finetune": {"epochs": 8, "patience": 8, "learning_rate": 5e-3, "label_smoothing": 0.0, "train_size": 1.0},
        "augment": {"set": "none"},
        "quantize": {"samples": 48},
        "gate": {"max_drop": 10.0, "min_agreement": 80.0},
    }
)


def spots(labels: tuple[str, ...], seed: int) -> NDArray[np.uint8]:
    """A gray picture with a spot of each color, uint8 (48, 48, 3) RGB, 0–255."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (48, 48, 3))
    corners = rng.permutation([(4, 4), (4, 26), (26, 4), (26, 26)])
    for (top, left), label in zip(corners, labels, strict=False):
        image[top : top + 18, left : left + 18, CHANNEL[label]] += 120
    return np.clip(image, 0, 255).astype(np.uint8)


def sets(count: int) -> list[tuple[str, ...]]:
    """All the subsets of the classes, in turn."""
    return [tuple(label for bit, label in enumerate(CLASSES) if number % 8 >> bit & 1) for number in range(count)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("several")
    lines = []
    for number, labels in enumerate(sets(240)):
        cv2.imwrite(str(folder / f"{number:03}.png"), spots(labels, number)[:, :, ::-1])
        lines.append(json.dumps({"path": f"{number:03}.png", "labels": labels}))
    (folder / "list.jsonl").write_text("\n".join(lines))
    return folder / "list.jsonl"


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return train(photos, tmp_path_factory.mktemp("runs") / "several", QUICK)


def test_the_device_gives_every_class_that_is_there(run: RunResult) -> None:
    with Classifier(run.int8) as classifier:
        assert classifier.model.activation == "sigmoid"
        answers = []
        for number, labels in enumerate(sets(64)):
            prediction = classifier.classify(spots(labels, 10_000 + number), color="rgb", all_scores=True)
            assert prediction.scores is not None
            there = prediction.scores >= np.array(classifier.model.thresholds)
            assert {category.index for category in prediction.categories} == set(there.nonzero()[0])
            answers.append({category.label for category in prediction.categories} == set(labels))
    assert np.mean(answers) > 0.9


def test_top_k_and_the_score_threshold_keep_their_meaning(run: RunResult) -> None:
    with Classifier(run.int8) as classifier:
        frame = spots(CLASSES, 20_000)
        every = classifier.classify(frame, color="rgb").categories
        assert len(every) == 3
        assert [category.score for category in every] == sorted((category.score for category in every), reverse=True)
        assert classifier.classify(frame, color="rgb", top_k=2).categories == every[:2]
        assert classifier.classify(frame, color="rgb", score_threshold=every[1].score).categories == tuple(
            category for category in every if category.score >= every[1].score
        )
        assert classifier.classify(spots((), 20_001), color="rgb").top is None


def test_the_live_loop_decides_for_all_that_is_in_view(run: RunResult, tmp_path: Path) -> None:
    for number, labels in enumerate([("blue", "red"), ("red",)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), spots(labels, 10_001 + number)[:, :, ::-1])
    rules = DecisionRules(smoothing="none", dwell_s=0.0)
    with Classifier(run.int8) as classifier, open_source(str(tmp_path)) as source:
        first, second = (result.decision for result in live(classifier, source, decision=rules))
    assert first is not None
    assert second is not None
    assert set(first.labels or ()) == {"blue", "red"}
    assert second.labels == ("red",)
    assert [(event.kind, event.label) for event in second.events] == [("left", "blue")]


def test_what_was_measured_is_what_ships(run: RunResult, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = run.evaluations["int8"]["test"]
    assert isinstance(test, MultiLabelEvaluation)
    assert run.verdict.passed, run.verdict.reasons
    assert test.macro_f1 > 0.9
    with Classifier(run.int8) as classifier:
        assert classifier.model.manifest is not None
        assert classifier.model.thresholds == run.evaluations["int8"]["val"].thresholds == test.thresholds
        accuracy = {measured.split: measured for measured in classifier.model.manifest.accuracy}
        assert all_passed(verify_model(classifier))
    assert (accuracy["test"].count, accuracy["test"].int8) == (test.pictures, test.accuracy)
    assert trainer_cli(["evaluate", str(run.int8), str(photos), "--json"]) == 0
    again = read_evaluation({k: v for k, v in json.loads(capsys.readouterr().out).items() if k != "unreadable"})
    assert (again.pictures, again.thresholds) == (240, test.thresholds)
    assert trainer_cli(["evaluate", str(run.int8), str(photos)]) == 0
    assert "multi-label" in capsys.readouterr().out
    assert runtime_cli(["info", str(run.int8)]) == 0
    assert f"blue {test.thresholds[0]:.2f}, green" in capsys.readouterr().out


def test_the_report_shows_the_figures_of_several_labels(run: RunResult) -> None:
    page, pictures = run.report.read_text(encoding="utf-8"), run.evaluations["int8"]["test"].pictures
    for text in ("mAP", "Subset accuracy", "ROC AUC", "Threshold", "false positive rate", f"Test, {pictures} photos"):
        assert text in page
    assert "Confusion matrix" not in page
    assert "Wilson" not in page
    summary = json.loads((run.report.parent / "report.json").read_text())["summary"]["test"]["int8"]
    assert summary["count"] == pictures
    assert summary["mean_average_precision"] > 0.9


def test_a_loss_that_does_not_fit_is_refused_before_anything_is_written(photos: Path, tmp_path: Path) -> None:
    recipe = QUICK.updated({"loss": {"kind": "categorical_crossentropy"}})
    with pytest.raises(RecipeError, match="photos with several labels each"):
        train(photos, tmp_path / "run", recipe)
    assert not (tmp_path / "run").exists()


def test_a_model_of_one_label_is_not_measured_on_several(tiny_int8: Path, photos: Path) -> None:
    with pytest.raises(DatasetError, match="doesn't have exactly one label"):
        evaluate_photos(tiny_int8, photos)


def test_thresholds_that_do_not_fit_the_model_are_refused(run: RunResult, tmp_path: Path) -> None:
    copy = tmp_path / "model.tflite"
    copy.write_bytes(run.int8.read_bytes())
    manifest = read_model_file(copy).manifest
    assert manifest is not None
    older = json.loads(manifest.to_json())
    del older["thresholds"]
    assert Manifest.from_json(json.dumps(older)).thresholds == ()
    with pytest.raises(ModelError, match="needs 3 thresholds from 0 to 1"):
        restamp(copy, replace(manifest, thresholds=(0.5, 0.5)))


def test_a_score_says_how_often_the_class_is_there(run: RunResult, tmp_path: Path) -> None:
    with Classifier(run.int8) as classifier:
        assert classifier.model.manifest is not None
        assert classifier.model.manifest.temperature != 1.0
    assert "so that scores match the frequency of the class" in run.report.read_text(encoding="utf-8")
    test = json.loads((run.report.parent / "report.json").read_text())["summary"]["test"]["int8"]
    assert 0 <= test["calibration_error"] < 0.15


@pytest.fixture(scope="module")
def keras_file(run: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keras") / "mine.keras"
    read_latest(load_run(run.report.parent)).save(path)
    return path


def test_a_network_from_elsewhere_is_quantized(keras_file: Path, photos: Path, tmp_path: Path) -> None:
    made = quantize_keras_model(keras_file, photos, tmp_path / "q", normalize="symmetric", samples=48, gate=QUICK.gate)
    assert made.verdict.passed, made.verdict.reasons
    for kind, file in (("fp32", made.fp32), ("int8", made.int8)):
        model, measured = read_model_file(file), made.evaluations[kind]
        assert isinstance(measured, MultiLabelEvaluation)
        assert model.thresholds == measured.thresholds
        assert measured.macro_f1 > 0.9


def test_the_labels_of_a_network_from_elsewhere_have_its_order(photos: Path, tmp_path: Path) -> None:
    import tf_keras

    labels, layers = ("red", "blue", "yellow", "green"), tf_keras.layers
    network = tf_keras.Sequential(
        [layers.Input((32, 32, 3)), layers.GlobalAveragePooling2D(), layers.Dense(4, activation="sigmoid")]
    )
    network.save(tmp_path / "other.keras")
    opened = open_external(tmp_path / "other.keras", photos, tmp_path / "q", normalize="symmetric", labels=labels)
    val, shown = opened.pixels("val"), {photo.path: photo.classes for photo in opened.dataset.photos}
    for path, there in zip(val.paths, val.labels, strict=True):
        assert {labels[index] for index in there.nonzero()[0]} == {CLASSES[index] for index in shown[path]}


def test_a_network_from_elsewhere_is_pruned(keras_file: Path, photos: Path, tmp_path: Path) -> None:
    recipe = QUICK.updated({"prune": {"epochs": 8}, "gate": {"max_drop": 20.0}})
    whole = quantize_keras_model(keras_file, photos, tmp_path / "q", normalize="symmetric", samples=48)
    size = whole.int8.stat().st_size * 8 // 10
    target = Target(size_bytes=size)
    made = compress(keras_file, photos, tmp_path / "c", recipe, normalize="symmetric", target=target, announce=str)
    assert made.keep_macs < 1
    assert made.int8.stat().st_size <= size
    assert made.verdict.passed, made.verdict.reasons
    with Classifier(made.int8) as classifier:
        assert len(classifier.model.thresholds) == 3


def test_a_network_of_one_label_is_refused(tiny_models: TinyModels, photos: Path, tmp_path: Path) -> None:
    tiny_models.keras.save(tmp_path / "one.keras")
    files = (tmp_path / "one.keras", photos, tmp_path / "q")
    with pytest.raises(ConversionError, match="ends in softmax, but photos with several labels need"):
        quantize_keras_model(*files, normalize="symmetric")
    with pytest.raises(CompressionError, match="ends in sigmoid"):
        compress(*files, QUICK, normalize="symmetric", announce=str)
    assert not list((tmp_path / "q").iterdir())
