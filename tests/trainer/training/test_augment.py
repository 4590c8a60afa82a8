from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainer.config import AugmentConfig
from trainer.training.augment import augment, normalize

NOTHING = AugmentConfig(
    rotation=0.0, shift=0.0, scale=(1.0, 1.0), flip=False, brightness=0.0, contrast=0.0, saturation=0.0
)


def pictures(count: int = 4, size: int = 24) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def changed(images: np.ndarray, config: AugmentConfig, seed: tuple[int, int] = (0, 0), size: int = 0) -> np.ndarray:
    import tensorflow as tf

    return augment(tf.constant(images), tf.constant(seed, tf.int64), config, size=size).numpy()


def test_normalize_is_what_the_contract_says() -> None:
    values = normalize(np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1), (128.0,), (127.5,)).numpy().ravel()
    np.testing.assert_allclose(values, [-128 / 127.5, 0.0, 127 / 127.5], rtol=1e-6)


def test_normalize_takes_one_value_per_channel() -> None:
    values = normalize(np.full((1, 1, 1, 3), 100, np.uint8), (100.0, 90.0, 80.0), (1.0, 2.0, 4.0)).numpy().ravel()
    np.testing.assert_allclose(values, [0.0, 5.0, 5.0])


def test_without_changes_the_pictures_stay_as_they_are() -> None:
    images = pictures()
    np.testing.assert_array_equal(changed(images, NOTHING), images)


def test_the_same_seed_gives_the_same_pictures_and_another_batch_others() -> None:
    images = pictures()
    first = changed(images, AugmentConfig(), (3, 1))
    np.testing.assert_array_equal(first, changed(images, AugmentConfig(), (3, 1)))
    assert not np.array_equal(first, changed(images, AugmentConfig(), (3, 2)))
    assert not np.array_equal(first, changed(images, AugmentConfig(), (4, 1)))


def test_flip_mirrors_some_pictures_and_leaves_the_others() -> None:
    images = pictures(32)
    result = changed(images, replace(NOTHING, flip=True))
    same = [np.abs(after - before).max() < 0.1 for before, after in zip(images, result, strict=True)]
    mirrored = [np.abs(after - before[:, ::-1]).max() < 0.1 for before, after in zip(images, result, strict=True)]
    assert all(s or m for s, m in zip(same, mirrored, strict=True))
    assert 4 <= sum(mirrored) <= 28


def test_a_zoom_shows_a_window_of_the_picture() -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, None, :, None] * 4, (16, 64, 64, 3))
    result = changed(ramp, replace(NOTHING, scale=(2.0, 2.0)))
    spans = result[:, 32, -2, 0] - result[:, 32, 1, 0]  # half of what the whole picture spans
    np.testing.assert_allclose(spans, 4 * 61 / 2, atol=3.0)
    assert result[:, 32, 0, 0].std() > 5.0  # the windows lie in different places


def test_a_shift_moves_by_at_most_its_share() -> None:
    images = np.zeros((16, 40, 40, 3), np.uint8)
    images[:, 20, 20] = 255
    pictures_now = changed(images, replace(NOTHING, shift=0.2))
    places = np.array([np.unravel_index(picture[..., 0].argmax(), (40, 40)) for picture in pictures_now])
    moved = np.abs(places - 20)
    assert moved.max() <= 8
    assert moved.max() >= 3


def test_rotation_turns_about_the_middle() -> None:
    images = np.zeros((8, 41, 41, 3), np.uint8)
    images[:, 19:22, 19:22] = 200
    result = changed(images, replace(NOTHING, rotation=45.0))
    np.testing.assert_allclose(result[:, 20, 20], 200.0, atol=1.0)


@pytest.mark.parametrize("size", [16, 32])
def test_a_size_scales_the_whole_picture(size: int) -> None:
    ramp = np.broadcast_to(np.arange(24, dtype=np.uint8)[None, None, :, None] * 10, (2, 24, 24, 3))
    result = changed(ramp, NOTHING, size=size)
    assert result.shape == (2, size, size, 3)
    inner = np.arange(size // 4, 3 * size // 4)
    expected = ((inner + 0.5) * 24 / size - 0.5) * 10
    np.testing.assert_allclose(result[0, size // 2, inner, 0], expected, atol=0.5)


def test_colours_stay_in_range_and_change_as_much_as_allowed() -> None:
    images = np.full((64, 8, 8, 3), 128, np.uint8)
    result = changed(images, replace(NOTHING, brightness=0.2, contrast=0.2, saturation=0.2))
    shift = result.mean(axis=(1, 2, 3)) - 128
    assert np.abs(shift).max() <= 0.2 * 255 + 0.01
    assert np.abs(shift).max() > 0.1 * 255
    bright = changed(np.full((16, 8, 8, 3), 250, np.uint8), replace(NOTHING, brightness=0.2))
    assert bright.max() <= 255.0


def test_saturation_keeps_grey_pictures_grey() -> None:
    grey = np.repeat(pictures()[..., :1], 3, axis=3)
    result = changed(grey, replace(NOTHING, saturation=0.9))
    np.testing.assert_allclose(result, grey, atol=0.01)
