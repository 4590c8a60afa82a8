from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.config import AugmentConfig
from trainer.errors import RecipeError
from trainer.training.augmentation.augment import augment, changes_pictures, check_flip, mix_targets, normalize

NOTHING = AugmentConfig(set="none")


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


def test_colors_stay_in_range_and_change_as_much_as_allowed() -> None:
    images = np.full((64, 8, 8, 3), 128, np.uint8)
    result = changed(images, replace(NOTHING, brightness=0.2, contrast=0.2, saturation=0.2))
    shift = result.mean(axis=(1, 2, 3)) - 128
    assert np.abs(shift).max() <= 0.2 * 255 + 0.01
    assert np.abs(shift).max() > 0.1 * 255
    bright = changed(np.full((16, 8, 8, 3), 250, np.uint8), replace(NOTHING, brightness=0.2))
    assert bright.max() <= 255.0


def test_saturation_keeps_gray_pictures_gray() -> None:
    gray = np.repeat(pictures()[..., :1], 3, axis=3)
    result = changed(gray, replace(NOTHING, saturation=0.9))
    np.testing.assert_allclose(result, gray, atol=0.01)


def waves(size: int, count: int = 6) -> np.ndarray:
    """The same pictures at any size: a few long waves in each channel."""
    rng = np.random.default_rng(1)
    place = (np.arange(size) + 0.5) / size
    y, x = place[:, None, None], place[None, :, None]
    pictures = []
    for _ in range(count):
        a, b, c, d = rng.uniform(-3, 3, (4, 1, 1, 3))
        pictures.append(127.5 + 60 * np.sin(2 * np.pi * (a + x * b)) + 60 * np.sin(2 * np.pi * (c + y * d)))
    return np.clip(np.round(pictures), 0, 255).astype(np.uint8)


def halved(images: np.ndarray) -> np.ndarray:
    count, size = images.shape[:2]
    return images.reshape(count, size // 2, 2, size // 2, 2, 3).mean(axis=(2, 4))


def dots(count: int = 12, size: int = 64) -> np.ndarray:
    images = np.zeros((count, size, size, 3), np.uint8)
    images[:, size // 2, size // 2] = 255
    return images


def test_pictures_of_the_first_settings_are_what_they_always_were() -> None:
    """Runs and benchmark figures depend on them."""
    result = changed(pictures(), AugmentConfig(), (3, 1), size=16)
    np.testing.assert_allclose(result[:, 3, 5, 1], [149.93, 133.48, 61.39, 92.81], atol=0.01)


@pytest.mark.parametrize(
    "change",
    [
        {"set": "default"},
        {"set": "none", "hue": 90.0, "exposure": 1.0, "white_balance": 0.3},
        {"set": "none", "motion_blur": 0.2},
        {"set": "none", "blur": 0.1},
        {"set": "none", "cutout": 0.5},
        {"set": "none", "rand_augment": 5.0},
        {"set": "none", "mixup": 1.0, "cutmix": 1.0},
        {"set": "strong"},
    ],
    ids=lambda change: " ".join(change) + " " + str(change["set"]),
)
@settings(max_examples=5)
@given(seed=st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)))
def test_the_same_seeds_draw_the_same_picture_at_another_size(change: dict[str, object], seed: tuple[int, int]) -> None:
    config = AugmentConfig(**change)  # type: ignore[arg-type]
    small, large = changed(waves(48), config, seed, size=32), changed(waves(96), config, seed, size=64)
    apart = np.abs(small - halved(large)).mean(axis=(1, 2, 3))
    assert np.median(apart) < 5.0  # gray levels; where a threshold lies between two pixels, a few are another value
    assert apart.max() < 20.0


@given(seed=st.integers(0, 2**40), mixup=st.sampled_from([0.0, 0.2, 2.0]), cutmix=st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=25)
def test_targets_tell_what_mixed_pictures_show(seed: int, mixup: float, cutmix: float) -> None:
    config = replace(NOTHING, mixup=mixup, cutmix=cutmix)
    values, truth = np.arange(8) * 30, np.eye(8, dtype=np.float32)
    images = np.broadcast_to(values[:, None, None, None], (8, 64, 64, 3)).astype(np.uint8)
    shown = changed(images, config, (seed, 5)).mean(axis=(1, 2, 3))
    shares = mixed(truth, config, (seed, 5))
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    assert shares.min() >= 0.0
    np.testing.assert_allclose(shown, shares @ values, atol=2 * 30 / 64 * 8)  # a pixel at the box's edges
    assert (mixup or cutmix) or np.array_equal(shares, truth)


def mixed(truth: np.ndarray, config: AugmentConfig, seed: tuple[int, int]) -> np.ndarray:
    import tensorflow as tf

    return np.asarray(mix_targets(tf.constant(truth), tf.constant(seed, tf.int64), config))


def test_mixup_blends_the_whole_picture_and_cutmix_a_rectangle() -> None:
    images = np.zeros((2, 32, 32, 3), np.uint8)
    images[1] = 200
    blended = changed(images, replace(NOTHING, mixup=1.0))
    assert (blended.std(axis=(1, 2, 3)) < 0.1).all()
    cut = changed(images, replace(NOTHING, cutmix=1.0))
    assert set(np.unique(cut)) == {0.0, 200.0}
    rows, columns = np.nonzero(cut[0, :, :, 0])
    assert (cut[0, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 200).all()


def test_several_classes_are_mixed_in_the_same_shares() -> None:
    config = replace(NOTHING, mixup=1.0)
    one, several = (
        mixed(np.eye(4, dtype=np.float32), config, (0, 3)),
        mixed(np.tri(4, dtype=np.float32), config, (0, 3)),
    )
    np.testing.assert_allclose(several, one @ np.tri(4), atol=1e-6)


def test_cut_out_paints_a_square_that_may_reach_over_the_edge() -> None:
    result = changed(np.zeros((32, 40, 40, 3), np.uint8), replace(NOTHING, cutout=0.5))
    painted = (result == 128).all(axis=3).sum(axis=(1, 2))
    assert painted.max() <= 21 * 21
    assert painted.max() >= 19 * 19
    assert painted.min() < 15 * 15
    assert ((result == 0) | (result == 128)).all()


def test_a_turned_hue_keeps_gray_and_luma() -> None:
    config = replace(NOTHING, hue=180.0)
    gray = np.repeat(pictures()[..., :1], 3, axis=3)
    np.testing.assert_allclose(changed(gray, config), gray, atol=0.5)
    muted = 100 + pictures() // 8
    result = changed(muted, config)
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(result @ luma, muted @ luma, atol=0.5)
    assert np.abs(result - muted).max() > 10


def test_a_stop_of_exposure_doubles_the_light() -> None:
    result = changed(np.full((256, 4, 4, 3), 100, np.uint8), replace(NOTHING, exposure=1.0))
    light = (result[:, 0, 0, 0] / 100.0) ** 2.2
    assert 1.9 < light.max() <= 2.001
    assert 0.499 <= light.min() < 0.52


def test_the_white_balance_warms_or_cools() -> None:
    red, _, blue = changed(np.full((64, 4, 4, 3), 100, np.uint8), replace(NOTHING, white_balance=0.2))[:, 0, 0].T
    np.testing.assert_allclose(red + blue, 200.0, atol=0.01)
    assert 15 < np.abs(red - 100).max() <= 20.01


def test_motion_blurs_along_a_line_that_is_no_longer_than_allowed() -> None:
    lines = changed(dots(), replace(NOTHING, motion_blur=0.25))[..., 0]
    np.testing.assert_allclose(lines.sum(axis=(1, 2)), 255.0, rtol=0.01)
    places = np.stack(np.mgrid[:64, :64]).reshape(2, -1)
    # Variances across and along each line; evenly filled, one of length n has n² / 12.
    across, along = np.array([np.linalg.eigvalsh(np.cov(places, aweights=line.ravel())) for line in lines]).T
    assert across.max() < 1.0
    assert 12 < np.sqrt(12 * along.max()) < 16.5


def test_blur_is_gaussian_and_no_wider_than_allowed() -> None:
    result = changed(dots(), replace(NOTHING, blur=0.1))[..., 0]
    np.testing.assert_allclose(result.sum(axis=(1, 2)), 255.0, rtol=0.01)
    place = np.arange(64) - 32
    sigmas = np.sqrt((result.sum(axis=1) * place**2).sum(axis=1) / 255)
    assert 4.0 < sigmas.max() <= 6.41
    plain = np.full((2, 16, 16, 3), 77, np.uint8)
    np.testing.assert_allclose(changed(plain, replace(NOTHING, blur=0.1)), plain, atol=0.01)


def test_noise_is_as_strong_as_allowed() -> None:
    result = changed(np.full((16, 32, 32, 3), 128, np.uint8), replace(NOTHING, noise=0.1))
    strengths = result.std(axis=(1, 2, 3)) / 255
    assert 0.07 < strengths.max() < 0.104
    assert strengths.min() < 0.04
    assert abs(result.mean() - 128) < 1.0


def test_jpeg_loses_more_where_more_may_be_lost() -> None:
    images = pictures(8, 32)
    little, much = (
        np.abs(changed(images, replace(NOTHING, jpeg=loss)) - images).mean(axis=(1, 2, 3)) for loss in (0.02, 0.95)
    )
    assert (little < much).all()
    assert much.max() > 30  # of noise, which JPEG can't keep


def test_pictures_stay_in_range_whatever_is_on() -> None:
    every = AugmentConfig(
        set="strong", exposure=2.0, white_balance=0.3, motion_blur=0.1, blur=0.02, noise=0.3, jpeg=0.9
    )
    result = changed(pictures(16), every)
    assert np.isfinite(result).all()
    assert 0.0 <= result.min() <= result.max() <= 255.0


def test_only_where_nothing_changes_is_the_same_picture_seen_again() -> None:
    assert not changes_pictures(NOTHING)
    assert not changes_pictures(AugmentConfig(**{**vars(NOTHING), "set": "default"}))
    assert changes_pictures(replace(NOTHING, mixup=0.2))
    assert changes_pictures(AugmentConfig())


@pytest.mark.parametrize(
    "labels",
    [
        ("left", "right"),
        ("turn_left", "stop"),
        ("Right-hand", "other"),
        ("0", "1", "2"),
        ("10", "20"),
        ("A", "B", "space"),
    ],
)
def test_pictures_whose_mirror_image_is_another_class_are_not_mirrored(labels: tuple[str, ...]) -> None:
    with pytest.raises(RecipeError, match=r"augment\.flip is on, .* Set augment\.flip=false"):
        check_flip(AugmentConfig(), labels)
    check_flip(AugmentConfig(set="digits"), labels)
    check_flip(AugmentConfig(flip=False), labels)


@pytest.mark.parametrize("labels", [("cat", "dog"), ("bright", "leftover"), ("x", "other"), ("t-shirt", "hat")])
def test_other_pictures_are(labels: tuple[str, ...]) -> None:
    check_flip(AugmentConfig(), labels)
