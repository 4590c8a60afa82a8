"""Photos of one session go to one split, by a list's column, by their paths or by EXIF time."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.photos import save, scene
from trainer.config import DataConfig
from trainer.data.dataset import scan
from trainer.data.grouping import bursts
from trainer.errors import DatasetError, RecipeError
from trainer.types import Dataset


def _with_time(path: Path, number: int, time: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = time.strftime("%Y:%m:%d %H:%M:%S")
    pixels = np.random.default_rng(number).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)


def _splits_by(dataset: Dataset, key) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for photo in dataset.photos:
        found.setdefault(key(photo.path), set()).add(photo.split)
    return found


def test_by_a_regular_expression(tmp_path):
    for number in range(60):
        label = "cat" if number % 2 else "dog"
        save(tmp_path / label / f"walk{number // 6}-{number}.jpg", scene(number))
    dataset = scan(tmp_path, data=DataConfig(group=r"/(walk\d+)-"), seed=0)
    walks = _splits_by(dataset, lambda path: path.split("/")[1].split("-")[0])
    assert len(walks) == 10
    assert all(len(splits) == 1 for splits in walks.values())
    assert {photo.split for photo in dataset.photos} == {"train", "val", "test"}


def test_by_exif_time(tmp_path):
    day = datetime(2025, 5, 1, 9)
    for number in range(48):
        label = "cat" if number % 2 else "dog"
        taken = day + timedelta(minutes=10 * (number // 4), seconds=20 * (number % 4))
        _with_time(tmp_path / label / f"{number}.jpg", number, taken)
    dataset = scan(tmp_path, data=DataConfig(group="exif_time"), seed=0)
    sessions = _splits_by(dataset, lambda path: str(int(path.split("/")[1].split(".")[0]) // 4))
    assert len(sessions) == 12
    assert all(len(splits) == 1 for splits in sessions.values())


def test_by_the_column_of_a_list(tmp_path):
    lines = ["path,label,session"]
    for number in range(60):
        save(tmp_path / f"{number}.jpg", scene(number))
        lines.append(f"{number}.jpg,{'cat' if number % 2 else 'dog'},{number // 6}")
    (tmp_path / "a.csv").write_text("\n".join(lines))
    sessions = _splits_by(
        scan(tmp_path / "a.csv", data=DataConfig(), seed=0), lambda path: str(int(path.split(".")[0]) // 6)
    )
    assert all(len(splits) == 1 for splits in sessions.values())


def test_groups_that_can_not_be_made(tmp_path):
    for number in range(12):
        save(tmp_path / ("cat" if number % 2 else "dog") / f"a{number}.jpg", scene(number))
    with pytest.raises(DatasetError, match=r"no photo in .* has an EXIF time"):
        scan(tmp_path, data=DataConfig(group="exif_time"), seed=0)
    with pytest.raises(DatasetError, match="matches none of the photos in"):
        scan(tmp_path, data=DataConfig(group=r"(walk)"), seed=0)
    with pytest.raises(DatasetError, match=r"Class cat has too few groups in .* \(1\) for train, val, test: none is"):
        scan(tmp_path, data=DataConfig(group=r"^(cat|dog)/"), seed=0)


@pytest.mark.parametrize("group", ["walk", "(a)(b)", "(", "exif"])
def test_a_setting_that_is_no_group(group):
    with pytest.raises(RecipeError, match=r"data\.group must be 'exif_time' or a regular expression with exactly"):
        DataConfig(group=group)


def test_a_minute_without_a_photo_ends_a_burst():
    start = datetime(2025, 1, 1)
    times = [start + timedelta(seconds=s) for s in (150, 0, 60, 211)]
    first, third = start.isoformat(), (start + timedelta(seconds=150)).isoformat()
    assert bursts([*times, None]) == [third, first, first, (start + timedelta(seconds=211)).isoformat(), ""]
