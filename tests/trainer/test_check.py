"""The check tells what is in a folder, what is wrong with it, and whether training would stop."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from trainer.check import check, format_text
from trainer.errors import DatasetError


def _photos(root: Path, counts: dict[str, int], *, size: tuple[int, int] = (30, 20)) -> Path:
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", size, (number * 3, len(label) * 20, len(str(root)) % 256)).save(
                root / label / f"{number:02d}.png"
            )
    return root


def test_a_good_folder(tmp_path):
    report = check(_photos(tmp_path, {"cat": 20, "mouse": 10}), input_size=16)
    assert report.counts == {
        "train": {"cat": 12, "mouse": 6},
        "val": {"cat": 4, "mouse": 2},
        "test": {"cat": 4, "mouse": 2},
    }
    assert (report.photos, report.imbalance, report.stops, report.warnings) == (30, 2.0, "", ())
    assert report.sizes is not None
    assert (report.sizes.median_height, report.sizes.median_width, report.sizes.smaller_than_input) == (20, 30, 0)
    text = format_text(report)
    assert "cat        12       4       4      20" in text
    assert text.endswith("Ready to train.")
    assert json.loads(json.dumps(report.to_dict()))["counts"] == report.counts


def test_imbalance_past_three_to_one_is_a_warning(tmp_path):
    assert not check(_photos(tmp_path / "a", {"cat": 30, "mouse": 10}), input_size=16).warnings
    (warning,) = check(_photos(tmp_path / "b", {"cat": 31, "mouse": 10}), input_size=16).warnings
    assert warning.startswith("cat has 3.1 times as many photos as mouse (31 and 10)")


def test_unreadable_files_are_listed_with_their_reasons(tmp_path):
    _photos(tmp_path, {"cat": 30, "mouse": 30})
    (tmp_path / "cat" / "note.jpg").write_text("I am no picture.")
    report = check(tmp_path)
    assert report.unreadable == (("cat/note.jpg", "a file that is no JPEG, PNG, WebP or BMP"),)
    assert report.photos == 60
    assert report.stops == ""
    assert "cat/note.jpg: a file that is no JPEG" in format_text(report)


def test_damage_in_the_middle_of_a_file_is_found(tmp_path):
    _photos(tmp_path, {"cat": 30, "mouse": 30})
    path = tmp_path / "cat" / "photo.jpg"
    Image.effect_noise((64, 64), 90).save(path)
    path.write_bytes(path.read_bytes().replace(b"\xff\xdb", b"\xff\xfe"))  # no quantization tables
    assert check(tmp_path).unreadable == (("cat/photo.jpg", "a truncated or damaged JPEG"),)


def test_duplicates_are_grouped(tmp_path):
    _photos(tmp_path, {"cat": 10, "mouse": 10})
    shutil.copy(tmp_path / "cat" / "03.png", tmp_path / "cat" / "copy.png")
    shutil.copy(tmp_path / "cat" / "05.png", tmp_path / "mouse" / "cat.png")
    report = check(tmp_path, input_size=16)
    assert report.duplicates == (("cat/03.png", "cat/copy.png"), ("cat/05.png", "mouse/cat.png"))
    assert report.contradictions == (("cat/05.png", "mouse/cat.png"),)
    assert report.duplicates_across_splits == ()
    assert report.warnings == ("The same picture in several classes: 1 times. Keep it in one.",)
    assert "cat/03.png = cat/copy.png" in format_text(report)


def test_duplicates_across_given_splits_are_told(tmp_path):
    for split, count in (("train", 10), ("val", 5), ("test", 4)):
        _photos(tmp_path / split, {"cat": count, "mouse": count})
    shutil.copy(tmp_path / "train" / "cat" / "03.png", tmp_path / "test" / "cat" / "again.png")
    report = check(tmp_path, input_size=16)
    assert report.given_split
    assert ("test/cat/again.png", "train/cat/03.png") in report.duplicates_across_splits
    assert "accuracy is measured on what was learned" in " ".join(report.warnings)


def test_small_photos_are_a_warning(tmp_path):
    report = check(_photos(tmp_path, {"cat": 10, "mouse": 10}), input_size=96)
    assert report.sizes is not None
    assert report.sizes.smaller_than_input == 20
    assert "smaller than the network's input of 96 px" in report.warnings[0]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [({"cat": 10}, "at least two classes"), ({"cat": 10, "mouse": 2}, "3 distinct readable photos of class mouse")],
)
def test_the_reason_why_training_would_stop(tmp_path, counts, reason):
    report = check(_photos(tmp_path, counts))
    assert reason in report.stops
    assert report.counts == {"photos": counts}
    assert f"Training would stop: {report.stops}" in format_text(report)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="found none"):
        check(tmp_path)
