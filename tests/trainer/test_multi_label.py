"""Photos with several labels, from the list to the device."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime import Classifier
from trainer.config import Recipe
from trainer.errors import RecipeError
from trainer.evaluation.evaluate import evaluate_photos
from trainer.pipeline import RunResult, train

CLASSES = ("blue", "green", "red")
CHANNEL = {"blue": 2, "green": 1, "red": 0}
QUICK = Recipe.from_dict(
    {
        "model": {"backbone": "basic_cnn", "input_size": 32, "weights": "none"},
        "finetune": {"epochs": 8, "patience": 8, "learning_rate": 5e-3, "label_smoothing": 0.0, "train_size": 1.0},
        "augment": {"rotation": 0.0, "shift": 0.0, "scale": [1.0, 1.0], "brightness": 0.0, "saturation": 0.0},
        "quantize": {"samples": 48},
        "gate": {"max_drop": 10.0, "min_agreement": 80.0},
    }
)


def spots(labels: tuple[str, ...], seed: int) -> NDArray[np.uint8]:
    """A grey picture with a spot of each colour, uint8 (48, 48, 3) RGB."""
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


def answered(classifier: Classifier, number: int, labels: tuple[str, ...], **options: Any) -> set[str]:
    prediction = classifier.classify(spots(labels, 10_000 + number), color="rgb", **options)
    return {category.label for category in prediction.categories}


def test_the_device_gives_every_class_that_is_there(run: RunResult) -> None:
    with Classifier(run.int8) as classifier:
        assert classifier.model.activation == "sigmoid"
        assert len(classifier.model.thresholds) == 3
        right = [answered(classifier, number, labels) == set(labels) for number, labels in enumerate(sets(64))]
    assert np.mean(right) > 0.9


def test_the_gate_and_the_figures_are_those_of_several_labels(run: RunResult) -> None:
    test = run.evaluations["int8"]["test"]
    assert run.verdict.passed, run.verdict.reasons
    assert test.accuracy > 0.9
    print(test)
