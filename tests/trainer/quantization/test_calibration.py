from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.tiny import CONTRACT, LABELS
from trainer.errors import DatasetError
from trainer.quantization.calibration import representative_set, stable_samples
from trainer.types import Pixels

if TYPE_CHECKING:
    from tests.support.tiny import TinyModels


def _pixels(counts: list[int]) -> Pixels:
    """Each picture's pixels are its index, from 1."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.broadcast_to(np.arange(1, len(labels) + 1, dtype=np.uint8)[:, None, None, None], (len(labels), 4, 4, 3))
    return Pixels(images, labels, tuple(map(str, labels)))


def _classes(images: np.ndarray, pixels: Pixels) -> list[int]:
    return [int(pixels.labels[image[1, 1, 0] - 1]) for image in images]


def test_takes_the_same_number_of_each_class() -> None:
    pixels = _pixels([50, 20, 5])
    images, record = representative_set(pixels, 15, 0, 3)
    assert np.bincount(_classes(images[:-1], pixels)).tolist() == [5, 5, 5]
    assert record.count == len(images) == 16


def test_small_classes_are_taken_whole_and_others_fill_up() -> None:
    pixels = _pixels([50, 20, 2])
    images, _ = representative_set(pixels, 20, 0, 3)
    assert np.bincount(_classes(images[:-1], pixels)).tolist() == [9, 9, 2]


def test_takes_no_picture_twice_and_all_where_there_are_fewer() -> None:
    images, _ = representative_set(_pixels([3, 4]), 100, 0, 2)
    assert sorted(images[:-1, 1, 1, 0]) == [1, 2, 3, 4, 5, 6, 7]


def test_reaches_black_and_white_by_two_pixels_alone() -> None:
    images, _ = representative_set(_pixels([5]), 5, 0, 1)
    assert images.min() == 0
    assert images.max() == 255
    assert int((images[-1] != images[0]).all(axis=-1).sum()) == 2


def test_the_seed_decides_and_the_hash_tells() -> None:
    pixels = _pixels([50, 50])
    first, record = representative_set(pixels, 10, 1, 2)
    again, same = representative_set(pixels, 10, 1, 2)
    _, other = representative_set(pixels, 10, 2, 2)
    np.testing.assert_array_equal(first, again)
    assert record == same
    assert record.sha256 == hashlib.sha256(first.tobytes()).hexdigest()
    assert record.sha256 != other.sha256
    assert (record.seed, other.seed) == (1, 2)


def test_nothing_to_calibrate_with_is_an_error() -> None:
    empty = Pixels(np.empty((0, 4, 4, 3), np.uint8), np.empty(0, np.int64), ())
    with pytest.raises(DatasetError, match="training set is empty"):
        representative_set(empty, 10, 0, 2)


def test_the_number_of_pictures_is_doubled_until_two_sets_agree(tiny_models: TinyModels) -> None:
    def find(tolerance: float) -> tuple[int, tuple[tuple[int, float], ...]]:
        return stable_samples(
            tiny_models.keras,
            tiny_models.pixels,
            contract=CONTRACT,
            seed=0,
            num_classes=len(LABELS),
            start=8,
            tolerance=tolerance,
        )

    assert find(1.0)[0] == 8
    count, tried = find(0.0)
    assert count == len(tiny_models.pixels)  # never the same to the last bit: all there are
    assert [samples for samples, _ in tried] == [8, 16, 32, 64, 128]
    disagreements = [share for _, share in tried]
    assert all(0 < share < 1 for share in disagreements)
    assert disagreements[-1] < disagreements[0]
    between = (disagreements[0] + disagreements[-1]) / 2
    count, tried = find(between)
    assert tried[-1][0] == count
    assert tried[-1][1] <= between


def test_a_network_that_hides_its_layers_gets_the_usual_number() -> None:
    count, tried = stable_samples(object(), _pixels([20, 9]), contract=CONTRACT, seed=0, num_classes=2)
    assert (count, tried) == (29, ())


def test_pictures_of_several_labels_are_drawn_by_the_rarest() -> None:
    labels = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 1]], np.uint8)
    pixels = Pixels(np.zeros((5, 4, 4, 3), np.uint8), labels, tuple("abcde"))
    assert pixels.strata.tolist() == [1, 0, 3, 2, 2]
    images, _ = representative_set(pixels, samples=4, seed=0, num_classes=3)
    assert len(images) == 5  # one of each, and the one with the whole range
