from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from tests.support.photos import scene
from trainer.training.augmentation import rand_augment as module
from trainer.training.augmentation.rand_augment import CHANGES, rand_augment


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.ascontiguousarray(scene(3, height=60, width=80)[:, :, ::-1] // 2 + 30)  # RGB, not over the whole range


def tensor(values: object) -> object:
    import tensorflow as tf

    return tf.constant(values, tf.float32)


def test_there_are_the_papers_fourteen() -> None:
    assert len(CHANGES) == len(set(CHANGES)) == 14


@pytest.mark.parametrize("strength", [-0.5, 0.5, 1.0])
@pytest.mark.parametrize(
    ("name", "pillow"),
    [
        ("_stretch", lambda image, s: ImageOps.autocontrast(image)),
        ("_solarize", lambda image, s: ImageOps.solarize(image, round(256 * (1 - abs(s))))),
        ("_posterize", lambda image, s: ImageOps.posterize(image, 8 - round(4 * abs(s)))),
        ("_saturate", lambda image, s: ImageEnhance.Color(image).enhance(1 + 0.9 * s)),
        ("_contrast", lambda image, s: ImageEnhance.Contrast(image).enhance(1 + 0.9 * s)),
        ("_brighten", lambda image, s: ImageEnhance.Brightness(image).enhance(1 + 0.9 * s)),
        ("_sharpen", lambda image, s: Image.blend(image.filter(ImageFilter.SMOOTH), image, 1 + 0.9 * s)),
    ],
)
def test_colors_change_as_pillows(picture: np.ndarray, name: str, pillow: object, strength: float) -> None:
    result = getattr(module, name)(tensor(picture), tensor(strength))
    expected = np.asarray(pillow(Image.fromarray(picture), strength), np.float32)  # type: ignore[operator]
    apart = np.abs(np.clip(result, 0, 255) - expected)[1:-1, 1:-1]  # Pillow leaves the edges as they are
    assert np.percentile(apart, 99) <= 4.0  # Pillow rounds on the way


def test_values_are_equalized_as_opencvs(picture: np.ndarray) -> None:
    result = module._equalize(tensor(picture), tensor(0.5))
    expected = cv2.merge([cv2.equalizeHist(channel) for channel in cv2.split(picture)])
    np.testing.assert_allclose(result, expected, atol=1.0)


@pytest.mark.parametrize("name", ["_rotate", "_shear_x", "_shear_y", "_move_x", "_move_y"])
def test_places_change_in_both_directions_and_never_by_a_mirror(name: str) -> None:
    marked = np.zeros((64, 64, 3), np.float32)
    marked[28:36, 28:31], marked[28:36, 33:36] = 100.0, 200.0  # darker left of brighter
    there, back, still = (np.asarray(getattr(module, name)(tensor(marked), tensor(s))) for s in (0.5, -0.5, 0.0))
    np.testing.assert_allclose(still, marked, atol=0.01)
    assert np.abs(there - back).max() > 50
    for result in (there, back):
        darker, brighter = (np.argwhere(np.abs(result[..., 0] - value) < 30)[:, 1].mean() for value in (100, 200))
        assert darker < brighter


def test_each_picture_has_changes_of_its_own(picture: np.ndarray) -> None:
    import tensorflow as tf

    batch = tf.constant(np.repeat(picture[None], 16, axis=0), tf.float32)
    result = rand_augment(batch, tf.constant((0, 1), tf.int64), 8.0).numpy()
    assert result.shape == batch.shape
    assert len({one.tobytes() for one in result}) >= 12
    again = rand_augment(batch, tf.constant((0, 1), tf.int64), 8.0).numpy()
    np.testing.assert_array_equal(result, again)
