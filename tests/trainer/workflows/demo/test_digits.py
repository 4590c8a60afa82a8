"""The demo's photos: real scans, none of them in two splits, the same from the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.errors import OutputFolderError
from trainer.workflows.demo import digits
from trainer.workflows.demo.digits import write_digit_clip, write_digit_photos
from trainer.workflows.demo.scene import trace_strokes

ALL_SCANS = digits._scans
SCANS = 240  # of 1,797, to be quick


@pytest.fixture(scope="module", autouse=True)
def _few_scans() -> Iterator[None]:
    """Leaves the first scans alone."""
    images, labels, splits = ALL_SCANS(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digits, "_scans", lambda seed: (images[:SCANS], labels[:SCANS], splits[:SCANS]))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_digit_photos(tmp_path_factory.mktemp("demo") / "digits", seed=0, scenes_per_scan=2)


def _digest(folder: Path) -> str:
    files = sorted(folder.glob("*/*/*.jpg"))
    return hashlib.sha256(b"".join(f.name.encode() + f.read_bytes() for f in files)).hexdigest()


def test_the_scans_are_split_seven_two_one_digit_by_digit():
    images, labels, splits = ALL_SCANS(0)
    assert images.shape == (1797, 8, 8)
    assert 0 <= images.min() < images.max() == 1
    for digit in range(10):
        counts = Counter(split for split, label in zip(splits, labels, strict=True) if label == digit)
        for split, share in (("val", 0.1), ("test", 0.2)):
            assert abs(counts[split] - share * counts.total()) <= 1


def test_no_scan_is_in_two_splits_and_train_alone_has_several_photos_of_each(folder):
    photos: dict[str, Counter[str]] = defaultdict(Counter)
    for path in folder.glob("*/*/*.jpg"):
        photos[path.name.split("-")[0]][path.parts[-3]] += 1
    assert len(photos) == SCANS
    assert {tuple(splits.items()) for splits in photos.values()} == {(("train", 2),), (("val", 1),), (("test", 1),)}


def test_photos_lie_in_the_folder_of_their_digit(folder):
    _, labels, splits = ALL_SCANS(0)
    for path in folder.glob("*/*/*.jpg"):
        scan = int(path.name[4:8])
        assert path.parts[-3:-1] == (splits[scan], str(labels[scan]))


def test_photos_differ_in_light_and_colour(folder):
    photos = np.array([cv2.imread(str(path)) for path in sorted(folder.glob("test/*/*.jpg"))])
    assert photos.shape[1:] == (120, 160, 3)
    assert photos.mean(axis=(1, 2, 3)).std() > 15
    assert 60 < photos.mean() < 190
    assert ((photos == 255).mean(), (photos == 0).mean()) < (0.05, 0.05)


def test_the_ink_is_dark_on_light_where_the_scan_says_so():
    images, _, _ = digits._scans(0)
    rng = np.random.default_rng(0)
    for scan in range(20):
        strokes = trace_strokes(images[scan])
        inner = strokes[12:-12, 12:-12]  # without the margin
        covered = cv2.resize(np.clip(inner * 3 - 1, 0, 1), (8, 8), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(covered.ravel(), images[scan].ravel())[0, 1] > 0.97
        picture = digits.photograph(strokes, rng)
        middle = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)[20:100, 40:120]
        assert np.percentile(middle, 5) < 0.7 * np.percentile(middle, 75)


def test_the_same_seed_gives_the_same_bytes_and_finished_photos_are_kept(folder, tmp_path):
    again = write_digit_photos(tmp_path / "again", seed=0, scenes_per_scan=2)
    assert _digest(again) == _digest(folder)
    first = next(again.glob("test/0/*.jpg"))
    before = first.stat().st_mtime_ns
    write_digit_photos(again, seed=0, scenes_per_scan=2)
    assert first.stat().st_mtime_ns == before


def test_an_unfinished_folder_is_made_anew(tmp_path):
    folder = write_digit_photos(tmp_path / "digits", seed=0, scenes_per_scan=1)
    marker = folder / ".digits.json"
    marker.write_text(marker.read_text().replace("true", "false"))
    next(folder.glob("train/*/*.jpg")).unlink()
    write_digit_photos(folder, seed=0, scenes_per_scan=1)
    assert len(list(folder.glob("*/*/*.jpg"))) == SCANS


def test_a_folder_that_was_just_begun_is_made_anew(tmp_path):
    (tmp_path / "..digits.json.123.partial").write_text("{")
    write_digit_photos(tmp_path, seed=0, scenes_per_scan=1)
    assert [path.name for path in tmp_path.glob(".*")] == [".digits.json"]


def test_other_settings_replace_the_photos(tmp_path):
    write_digit_photos(tmp_path, seed=0, scenes_per_scan=3)
    write_digit_photos(tmp_path, seed=1, scenes_per_scan=1)
    assert len(list(tmp_path.glob("*/*/*.jpg"))) == SCANS


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(OutputFolderError, match=r"contains other files. Choose another one"):
        write_digit_photos(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_folder_that_can_not_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFolderError, match="Cannot write the demo's photos"):
        write_digit_photos(tmp_path / "file" / "digits")


def test_the_clip_shows_each_card_while_it_says_so(tmp_path):
    cards = write_digit_clip(tmp_path / "clip.avi", seed=0, digits=3)
    assert len({digit for digit, _, _ in cards}) == 3
    video = cv2.VideoCapture(str(tmp_path / "clip.avi"))
    assert video.get(cv2.CAP_PROP_FPS) == 30
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1].astype(int))
    assert len(frames) == cards[-1][2] + 1 == 90
    assert frames[0].shape == (240, 320, 3)
    for _, first, last in cards:
        assert last - first + 1 == 24  # 0.8 s
        assert all(np.abs(frames[i] - frames[i + 1]).mean() > 0.5 for i in range(first, last))  # held by a hand
    ends = [last for _, _, last in cards]
    assert all(np.abs(frames[a] - frames[b]).mean() > 8 for a, b in pairwise(ends))


def test_a_clip_that_can_not_be_written(tmp_path):
    with pytest.raises(OutputFolderError, match="Cannot write a video"):
        write_digit_clip(tmp_path, digits=1)
