from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.photos import photos
from trainer.cli.main import main
from trainer.config import Recipe
from trainer.errors import DatasetError, RecipeError
from trainer.workflows.check.preview import draw_changes, preview_photos

SMALL = Recipe().updated({"model": {"input_size": 64}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("photos"), {"cat": 5, "mouse": 3, "owl": 1})


def test_each_class_has_its_rows_as_the_network_sees_them(folder: Path) -> None:
    made = draw_changes(folder, SMALL, per_class=2, draws=3)
    assert made.titles == ("cat", "cat", "mouse", "mouse", "owl")
    assert made.photos.shape == (5, 64, 64, 3)
    assert made.drawn.shape == (5, 3, 64, 64, 3)
    np.testing.assert_array_equal(made.shares.argmax(axis=2), [[0] * 3, [0] * 3, [1] * 3, [1] * 3, [2] * 3])


def test_pictures_are_drawn_at_the_size_in_training(folder: Path) -> None:
    smaller = SMALL.updated({"finetune": {"train_size": 0.5}})
    assert draw_changes(folder, smaller, per_class=1, draws=2).drawn.shape[2:] == (32, 32, 3)


def test_a_zoom_into_few_photos_shows_what_they_hold(tmp_path: Path) -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255  # as narrow as can be, and grey in 64 pixels
    for name in ("cat/a.png", "dog/b.png"):
        (tmp_path / name).parent.mkdir()
        Image.fromarray(stripes).save(tmp_path / name)

    zooming = SMALL.updated({"augment": {"set": "none", "scale": (2.0, 2.0)}, "finetune": {"train_size": 1.0}})
    made = draw_changes(tmp_path, zooming, per_class=1, draws=1)

    assert np.ptp(made.photos) < 10
    assert np.ptp(made.drawn) > 100


def test_without_changes_the_photos_are_drawn_as_they_are(folder: Path) -> None:
    still = SMALL.updated({"augment": {"set": "none"}})
    made = draw_changes(folder, still, per_class=1, draws=2)
    np.testing.assert_array_equal(made.drawn, np.repeat(made.photos[:, None], 2, axis=1))


def test_few_photos_are_drawn_with_the_changes_that_they_are_trained_with(folder: Path) -> None:
    made = draw_changes(folder, SMALL, per_class=1, draws=2)
    assert (made.augment.set, made.augment.rand_augment) == ("few", 6.0)


def test_mixing_is_shown_with_its_shares(folder: Path) -> None:
    mixing = SMALL.updated({"augment": {"set": "none", "mixup": 1.0}, "finetune": {"train_size": 1.0}})
    made = draw_changes(folder, mixing, per_class=2, draws=4)
    np.testing.assert_allclose(made.shares.sum(axis=2), 1.0, atol=1e-5)
    own = made.shares[np.arange(5), :, [0, 0, 1, 1, 2]]
    assert (own > 0.49).all()
    assert (own < 0.95).any()
    for row, column in np.argwhere(own < 0.75):
        assert np.abs(made.drawn[row, column].astype(int) - made.photos[row]).mean() > 3


def test_the_sheet_is_a_png_of_all_rows_and_columns(folder: Path) -> None:
    sheet = Image.open(io.BytesIO(preview_photos(folder, SMALL, per_class=1, draws=2)))
    assert sheet.format == "PNG"
    assert sheet.width > 3 * 64
    assert sheet.height > 3 * 64


def test_photos_that_cannot_be_read_are_passed_over(tmp_path: Path) -> None:
    photos(tmp_path, {"cat": 3, "mouse": 1})
    (tmp_path / "cat" / "00.jpg").write_text("no picture")
    assert draw_changes(tmp_path, SMALL, per_class=1, draws=1).titles == ("cat", "mouse")
    for path in tmp_path.rglob("*.jpg"):
        path.write_text("no picture")
    with pytest.raises(DatasetError, match="no readable photos"):
        draw_changes(tmp_path, SMALL, per_class=1, draws=1)


def test_photos_to_measure_with_are_not_shown(tmp_path: Path) -> None:
    photos(tmp_path / "train", {"cat": 2, "mouse": 2})
    photos(tmp_path / "test", {"cat": 9, "mouse": 9}, start=50)
    assert len(draw_changes(tmp_path, SMALL, per_class=9, draws=1).titles) == 4


def test_what_training_refuses_is_not_shown(tmp_path: Path) -> None:
    photos(tmp_path, {"left": 1, "right": 1})
    with pytest.raises(RecipeError, match=r"augment\.flip"):
        preview_photos(tmp_path, SMALL)


def test_the_command_writes_the_sheet(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.png"
    command = ["preview", str(folder), "--set", "model.input_size=64", "--set", "augment.set=camera", "--per-class=1"]
    assert main([*command, "--to", str(sheet)]) == 0
    assert capsys.readouterr().out == f"{sheet}\n"
    with Image.open(sheet) as image:
        assert image.width > 7 * 64
    for wrong, words in ((tmp_path / "no" / "sheet.png", "its folder doesn't exist"), (tmp_path / "a.gif", ".png")):
        assert main([*command, "--to", str(wrong)]) == 1
        assert words in capsys.readouterr().err
