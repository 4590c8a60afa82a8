"""Scores and accuracy of a Keras model."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime import InputContract
from trainer.training.loop.scores import network_accuracy, network_scores
from trainer.types import Pixels

COUNT = 70  # more than a batch


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 3), np.uint8)


def pixels(images: np.ndarray, labels: np.ndarray) -> Pixels:
    return Pixels(images, labels, tuple(f"{number}.png" for number in range(len(images))))


@pytest.mark.parametrize("several", [False, True])
def test_a_network_is_as_right_as_its_own_answers_say(images: np.ndarray, several: bool) -> None:
    from trainer.training.networks.backbones import build_model, get_backbone

    network = build_model(get_backbone("basic_cnn"), num_classes=3, input_size=32, dropout=0.5, multi_label=several)
    contract = InputContract(32, 32)
    scores = network_scores(network, pixels(images, np.zeros(COUNT, np.int64)), contract)
    assert scores.shape == (COUNT, 3)

    answers = (scores >= 0.5).astype(np.uint8) if several else scores.argmax(axis=1)
    assert network_accuracy(network, pixels(images, answers), contract) == 1.0

    wrong = answers.copy()
    wrong[: COUNT // 2] = 1 - wrong[: COUNT // 2] if several else (wrong[: COUNT // 2] + 1) % 3
    assert network_accuracy(network, pixels(images, wrong), contract) == 0.5
