"""A folder of photos becomes a data set, or one clear sentence says why it can't."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.config import DataConfig
from trainer.data.dataset import count_to_train_on, scan
from trainer.data.formats import find_photos
from trainer.errors import DatasetError, RecipeError
from trainer.types import Dataset


def _photo(path: Path, number: int) -> Path:
    """Write a tiny photo, whose bytes depend on the number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def _photos(root: Path, counts: dict[str, int]) -> Path:
    number = sum(1 for _ in root.rglob("*.png")) if root.exists() else 0
    for label, count in counts.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            number += 1
            _photo(root / label / f"{number:04d}.png", number)
    return root


def _scan(root: Path, *, seed: int = 0, **data: float) -> Dataset:
    return scan(root, data=DataConfig(**data), seed=seed)


def _counts(dataset: Dataset) -> Counter[tuple[str, str]]:
    return Counter((photo.split, dataset.labels[photo.label]) for photo in dataset.photos)


def test_class_folders_are_split_six_two_two_where_photos_are_few(tmp_path):
    dataset = _scan(_photos(tmp_path, {"cat": 20, "dog": 10}))
    assert dataset.labels == ("cat", "dog")
    assert not dataset.given_split
    assert _counts(dataset) == {
        ("train", "cat"): 12, ("val", "cat"): 4, ("test", "cat"): 4,
        ("train", "dog"): 6, ("val", "dog"): 2, ("test", "dog"): 2,
    }  # fmt: skip
    assert [photo.path for photo in dataset.photos] == sorted(photo.path for photo in dataset.photos)


def test_class_folders_are_split_seven_two_one_from_a_thousand_photos_on(tmp_path):
    dataset = _scan(_photos(tmp_path, {"cat": 500, "dog": 500}))
    assert Counter(photo.split for photo in dataset.photos) == {"train": 700, "val": 200, "test": 100}


def test_the_shares_can_be_set(tmp_path):
    dataset = _scan(_photos(tmp_path, {"cat": 20, "dog": 20}), val_fraction=0.3, test_fraction=0.5)
    assert Counter(photo.split for photo in dataset.photos) == {"train": 8, "val": 12, "test": 20}
    with pytest.raises(RecipeError, match=r"leave no photos for training\. Lower them"):
        _scan(tmp_path, val_fraction=0.5, test_fraction=0.5)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val"])
def test_a_given_split_is_kept(tmp_path, val):
    for split, count in (("train", 4), (val, 2), ("test", 1)):
        _photos(tmp_path / split, {"cat": count, "dog": count})
    dataset = _scan(tmp_path)
    assert dataset.given_split
    assert Counter(photo.split for photo in dataset.photos) == {"train": 8, "val": 4, "test": 2}
    assert all(photo.path.lower().startswith(photo.split) for photo in dataset.photos)


@pytest.mark.parametrize(
    ("given", "carved", "option"), [("test", "val", "val_fraction"), ("val", "test", "test_fraction")]
)
def test_a_split_that_is_not_given_is_carved_from_train(tmp_path, given, carved, option):
    _photos(tmp_path / "train", {"cat": 40, "dog": 20})
    _photos(tmp_path / given, {"cat": 5, "dog": 5})
    dataset = _scan(tmp_path, **{option: 0.25})
    assert _counts(dataset) == {
        ("train", "cat"): 30, (carved, "cat"): 10, (given, "cat"): 5,
        ("train", "dog"): 15, (carved, "dog"): 5, (given, "dog"): 5,
    }  # fmt: skip
    assert all(photo.path.startswith("train/") for photo in dataset.split(carved))


def test_without_a_setting_a_carved_split_is_fifteen_percent_of_train(tmp_path):
    _photos(tmp_path / "train", {"cat": 40, "dog": 20})
    _photos(tmp_path / "test", {"cat": 5, "dog": 5})
    assert len(_scan(tmp_path, val_fraction=0.0).split("val")) == 9


@pytest.mark.parametrize(
    "counts",
    [
        {"": {"cat": 30, "dog": 50}},
        {"train": {"cat": 30, "dog": 50}},
        {"train": {"cat": 30, "dog": 50}, "test": {"cat": 5, "dog": 5}},
        {"train": {"cat": 30, "dog": 50}, "val": {"cat": 5, "dog": 5}, "test": {"cat": 5, "dog": 5}},
    ],
)
def test_photos_to_train_on_are_counted_before_they_are_read(tmp_path, counts):
    for split, classes in counts.items():
        _photos(tmp_path / split, classes)

    counted = count_to_train_on(find_photos(tmp_path), DataConfig())
    assert abs(counted - len(_scan(tmp_path).split("train"))) <= 2  # one of each class


def test_a_train_folder_alone_is_split_as_a_whole(tmp_path):
    _photos(tmp_path / "train", {"cat": 10, "dog": 10})
    dataset = _scan(tmp_path)
    assert dataset.labels == ("cat", "dog")
    assert Counter(photo.split for photo in dataset.photos) == {"train": 12, "val": 4, "test": 4}


def test_a_class_may_be_called_train(tmp_path):
    assert _scan(_photos(tmp_path, {"bus": 5, "train": 5})).labels == ("bus", "train")


def test_pictures_may_lie_deeper_and_other_files_are_passed_over(tmp_path):
    _photos(tmp_path, {"cat/2024/may": 5, "dog": 5})
    for name in ("notes.txt", "Thumbs.db", ".hidden.png", ".cache/x.png", "__MACOSX/cat/._1.png", "cat/__MACOSX/1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("no picture")
    _photo(tmp_path / "dog" / "LOUD.PNG", 77)
    dataset = _scan(tmp_path)
    assert dataset.labels == ("cat", "dog")
    assert len(dataset.photos) == 11
    assert dataset.unreadable == ()


def test_copies_stay_on_one_side_even_across_classes(tmp_path):
    _photos(tmp_path, {"cat": 20, "dog": 20})
    for file in sorted((tmp_path / "cat").iterdir())[:10]:
        shutil.copy(file, tmp_path / "cat" / f"copy-{file.name}")
        shutil.copy(file, tmp_path / "dog" / f"copy-{file.name}")
    sides: dict[str, set[str]] = {}
    for photo in _scan(tmp_path).photos:
        sides.setdefault(photo.sha256, set()).add(photo.split)
    assert len(sides) == 40
    assert all(len(side) == 1 for side in sides.values())


def test_the_split_depends_on_seed_and_content_alone(tmp_path):
    _photos(tmp_path / "one", {"cat": 20, "dog": 20})
    first = _scan(tmp_path / "one")
    for number, file in enumerate(sorted((tmp_path / "one").rglob("*.png"), reverse=True)):
        target = tmp_path / "two" / file.parent.name / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
        os.utime(target, (number, number))
    second = _scan(tmp_path / "two")
    assert {p.sha256: p.split for p in first.photos} == {p.sha256: p.split for p in second.photos}
    assert {p.sha256: p.split for p in first.photos} != {
        p.sha256: p.split for p in _scan(tmp_path / "one", seed=1).photos
    }


def test_a_file_that_can_not_be_decoded_is_named_and_left_out(tmp_path):
    _photos(tmp_path, {"cat": 20, "dog": 20})
    (tmp_path / "cat" / "note.jpg").write_text("I am no picture.")
    dataset = _scan(tmp_path)
    assert len(dataset.photos) == 40
    assert dataset.unreadable == (("cat/note.jpg", "a file that is no JPEG, PNG, WebP or BMP"),)


def test_too_many_such_files_stop_the_run_and_are_named(tmp_path):
    _photos(tmp_path, {"cat": 20, "dog": 20})
    for number in range(3):
        (tmp_path / "cat" / f"broken{number}.png").write_bytes(b"")
    with pytest.raises(
        DatasetError, match=r"3 of 43 .* \(at most 5% may be\): cat/broken0.png: an empty file; cat/broken1"
    ):
        _scan(tmp_path)
    assert len(_scan(tmp_path, max_unreadable=0.2).unreadable) == 3


def test_a_missing_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere doesn't exist\. Check the path"):
        _scan(tmp_path / "nowhere")


def test_an_empty_folder(tmp_path):
    with pytest.raises(DatasetError, match=r"No photos \(\.jpg, .*\) found in .* Arrange photos as .*CLASS/\*\.jpg"):
        _scan(tmp_path)


def test_pictures_without_class_folders(tmp_path):
    _photo(tmp_path / "a.png", 1)
    with pytest.raises(DatasetError, match=r"no class folders: its pictures \(1\) aren\'t sorted by class\. Arrange"):
        _scan(tmp_path)


def test_one_class(tmp_path):
    with pytest.raises(DatasetError, match=r"At least two classes are needed, but .* has only cat\. Add"):
        _scan(_photos(tmp_path, {"cat": 10}))


@pytest.mark.parametrize("count", [0, 2])
def test_a_class_with_too_few_photos(tmp_path, count):
    with pytest.raises(DatasetError, match=f"Class dog .*: {count} readable and distinct, but at least 3 .* Add"):
        _scan(_photos(tmp_path, {"cat": 10, "dog": count}))


def test_copies_do_not_make_up_for_photos(tmp_path):
    _photos(tmp_path, {"cat": 10, "dog": 2})
    for number in range(5):
        shutil.copy(next((tmp_path / "dog").glob("0*.png")), tmp_path / "dog" / f"copy{number}.png")
    with pytest.raises(DatasetError, match=r"Class dog has too few photos .*: 2 readable"):
        _scan(tmp_path)


def test_a_given_split_with_other_classes(tmp_path):
    _photos(tmp_path / "train", {"cat": 10, "dog": 10})
    _photos(tmp_path / "test", {"cat": 10, "cow": 10})
    with pytest.raises(DatasetError, match="test lacks dog and train lacks cow"):
        _scan(tmp_path)


def test_a_given_split_with_an_empty_class(tmp_path):
    _photos(tmp_path / "train", {"cat": 10, "dog": 10})
    _photos(tmp_path / "test", {"cat": 10, "dog": 0})
    with pytest.raises(DatasetError, match="Class dog has no readable photos in the test split"):
        _scan(tmp_path)


def test_two_validation_folders(tmp_path):
    for split in ("train", "val", "valid"):
        _photos(tmp_path / split, {"cat": 3, "dog": 3})
    with pytest.raises(DatasetError, match=r"two folders for the val split: val and valid\. Merge"):
        _scan(tmp_path)


def test_a_test_folder_without_train(tmp_path):
    _photos(tmp_path / "test", {"cat": 3, "dog": 3})
    with pytest.raises(DatasetError, match="but no train folder"):
        _scan(tmp_path)


def test_a_data_set_survives_its_dictionary(tmp_path):
    dataset = _scan(_photos(tmp_path, {"cat": 5, "dog": 5}))
    assert Dataset.from_dict(dataset.to_dict()) == dataset


def test_real_photos(shared_data):
    dataset = _scan(shared_data / "trashnet")
    assert dataset.labels == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert len(dataset.photos) == 2524
    assert len(dataset.split("test")) == 505
    assert dataset.unreadable == ()
