"""The check finds what was planted in photos, nothing in clean ones, and says whether training would stop."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.photos import photos, save, scene
from trainer.config import Recipe
from trainer.errors import DatasetError, WeightsError
from trainer.workflows.check.check import CheckReport, check_photos
from trainer.workflows.check.page import render_check_page
from trainer.workflows.check.text import Finding, format_text
from trainer.workflows.check.text import findings as all_findings

SMALL = Recipe().updated({"model": {"input_size": 96}})


def _check(root: Path, recipe: Recipe = SMALL) -> CheckReport:
    return check_photos(root, recipe, suspects=False)


def findings(report: CheckReport) -> list[Finding]:
    """Without that photos are few, which these are on purpose."""
    return [finding for finding in all_findings(report) if finding.kind != "few_photos"]


def _kinds(report: CheckReport) -> list[str]:
    return [finding.kind for finding in findings(report)]


def test_clean_photos(tmp_path):
    report = _check(photos(tmp_path, {"cat": 20, "mouse": 10}))
    assert report.counts == {
        "train": {"cat": 12, "mouse": 6},
        "val": {"cat": 4, "mouse": 2},
        "test": {"cat": 4, "mouse": 2},
    }
    assert (report.photos, report.imbalance, report.stops, _kinds(report)) == (30, 2.0, "", [])
    assert report.sizes is not None
    assert (report.sizes.median_height, report.sizes.median_width, report.sizes.smaller_than_input) == (150, 200, 0)
    text = format_text(report)
    assert "cat        12       4       4      20" in text
    assert "Label errors were not checked: not requested." in text
    assert text.endswith("Ready to train.")
    stored = json.loads(json.dumps(report.to_dict()))
    assert (stored["counts"], stored["schema_version"]) == (report.counts, 1)


def test_few_photos_are_told_with_the_recipe_for_them(tmp_path):
    (finding,) = all_findings(_check(photos(tmp_path, {"cat": 7, "mouse": 5})))
    assert finding.text.startswith("2 of 2 classes have fewer than 50 photos (mouse 5, cat 7). Train with --recipe few")


def test_imbalance_past_three_to_one(tmp_path):
    report = _check(photos(tmp_path, {"cat": 13, "mouse": 4}))
    (finding,) = findings(report)
    assert finding.text.startswith("cat has 3.2 times as many photos as mouse (13 and 4)")
    assert _kinds(replace(report, imbalance=3.0)) == []


def test_unreadable_files_are_listed_with_their_reasons(tmp_path):
    photos(tmp_path, {"cat": 20, "mouse": 20})
    (tmp_path / "cat" / "note.jpg").write_text("I am no picture.")
    damaged = tmp_path / "mouse" / "00.jpg"
    damaged.write_bytes(damaged.read_bytes().replace(b"\xff\xdb", b"\xff\xfe"))  # no quantization tables
    report = _check(tmp_path)
    assert report.unreadable == (
        ("cat/note.jpg", "a file that is no JPEG, PNG, WebP or BMP"),
        ("mouse/00.jpg", "a truncated or damaged JPEG"),
    )
    assert (report.photos, report.stops) == (39, "")
    assert "cat/note.jpg: a file that is no JPEG" in format_text(report)


def test_copies_are_grouped(tmp_path):
    photos(tmp_path, {"cat": 10, "mouse": 10})
    shutil.copy(tmp_path / "cat" / "03.jpg", tmp_path / "cat" / "copy.jpg")
    shutil.copy(tmp_path / "cat" / "05.jpg", tmp_path / "mouse" / "cat.jpg")
    report = _check(tmp_path)
    assert [group.paths for group in report.duplicates] == [
        ("cat/03.jpg", "cat/copy.jpg"),
        ("cat/05.jpg", "mouse/cat.jpg"),
    ]
    assert report.near_duplicates == ()
    assert _kinds(report) == ["contradictions", "duplicates"]
    assert "cat/03.jpg = cat/copy.jpg" in format_text(report)


_CHANGES = {
    "re-encoded": lambda image: cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
    "resized": lambda image: cv2.resize(image, (90, 68), interpolation=cv2.INTER_AREA),
    "enlarged": lambda image: cv2.resize(image, (500, 375), interpolation=cv2.INTER_CUBIC),
    "brighter": lambda image: cv2.convertScaleAbs(image, alpha=1.2, beta=10),
    "darker": lambda image: cv2.convertScaleAbs(image, alpha=0.6),
    "grey": lambda image: cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR),
    "cropped by two pixels": lambda image: image[2:, 2:],
}


@pytest.mark.parametrize("change", _CHANGES)
def test_near_duplicates_are_found(tmp_path, change):
    photos(tmp_path, {"cat": 12, "mouse": 12})
    save(tmp_path / "cat" / "again.jpg", _CHANGES[change](cv2.imread(str(tmp_path / "cat" / "03.jpg"))))
    (group,) = _check(tmp_path).near_duplicates
    assert group.paths == ("cat/03.jpg", "cat/again.jpg")
    assert 0.9 <= group.similarity < 1


def test_other_things_at_the_same_place_are_no_near_duplicates(tmp_path):
    background = scene(999)
    for label in ("cat", "mouse"):
        for number in range(8):
            image = background.copy()
            image[35:115, 50:150] = cv2.resize(scene(number + 100 * len(label)), (100, 80))
            save(tmp_path / label / f"{number}.jpg", image)
    assert _check(tmp_path).near_duplicates == ()


def test_near_duplicates_across_splits_and_classes_come_first(tmp_path):
    for start, (split, count) in enumerate((("train", 10), ("val", 5), ("test", 5))):
        photos(tmp_path / split, {"cat": count, "mouse": count}, start=100 * start)
    again = cv2.imread(str(tmp_path / "train" / "cat" / "03.jpg"))
    save(tmp_path / "test" / "cat" / "again.jpg", again, quality=50)
    save(tmp_path / "train" / "mouse" / "cat.jpg", cv2.imread(str(tmp_path / "train" / "cat" / "05.jpg")), quality=50)
    save(tmp_path / "train" / "cat" / "x.jpg", cv2.imread(str(tmp_path / "train" / "cat" / "07.jpg")), quality=50)
    shutil.copy(tmp_path / "train" / "cat" / "01.jpg", tmp_path / "val" / "cat" / "copy.jpg")
    report = _check(tmp_path)
    assert _kinds(report) == ["contradictions", "duplicates_across_splits", "near_duplicates"]
    across = findings(report)[1]
    assert across.examples == (
        "train/cat/01.jpg = val/cat/copy.jpg",
        "test/cat/again.jpg ≈ train/cat/03.jpg",
    )
    assert "accuracy is measured on training data" in across.text


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("blurred", lambda image: cv2.GaussianBlur(image, (0, 0), 4)),
        ("dark", lambda image: cv2.convertScaleAbs(image, alpha=0.15)),
        ("bright", lambda image: cv2.convertScaleAbs(image, alpha=0.25, beta=210)),
        ("blank", lambda image: np.full_like(image, 90)),
        ("tiny", lambda image: cv2.resize(image, (40, 30), interpolation=cv2.INTER_AREA)),
    ],
)
def test_pictures_that_show_too_little(tmp_path, kind, spoil):
    photos(tmp_path, {"cat": 10, "mouse": 10})
    save(tmp_path / "cat" / "03.jpg", spoil(scene(4)))
    report = _check(tmp_path)
    assert [(fault.kind, fault.path) for fault in report.faults] == [(kind, "cat/03.jpg")]
    assert "1 photo" in format_text(report)


def test_sessions_across_splits_are_found_by_exif_time(tmp_path):
    photos(tmp_path, {"cat": 20, "mouse": 20})
    for number, path in enumerate(sorted(tmp_path.rglob("*.jpg"))):
        exif = Image.Exif()
        taken = datetime(2025, 5, 1) + timedelta(hours=number // 8, seconds=5 * number)
        exif.get_ifd(0x8769)[0x9003] = taken.strftime("%Y:%m:%d %H:%M:%S")
        with Image.open(path) as image:
            image.save(path, exif=exif)
    report = _check(tmp_path)
    assert {leak.known_by for leak in report.leaks} == {"EXIF time"}
    (finding,) = findings(report)
    assert finding.kind == "sessions_across_splits"
    assert finding.text.endswith("Train with --set data.group=exif_time.")
    grouped = SMALL.updated({"data": {"group": "exif_time"}})
    assert _check(tmp_path, grouped).leaks == ()


def test_sessions_across_splits_are_found_by_names(tmp_path):
    for number in range(24):
        taken = datetime(2025, 5, 1, 12, number // 8 * 10, 2 * number)
        save(tmp_path / ("cat" if number % 2 else "mouse") / f"IMG_{taken:%Y%m%d_%H%M%S}.jpg", scene(number))
    report = _check(tmp_path)
    assert {leak.known_by for leak in report.leaks} == {"time in the name"}
    assert sum(len(leak.paths) for leak in report.leaks) <= 24


def test_a_counter_tells_a_session_only_where_neighbours_look_alike(tmp_path):
    wide = scene(5, width=600)
    for number in range(20):
        save(tmp_path / "video" / "cat" / f"frame_{number:04d}.jpg", wide[:, number * 4 : number * 4 + 200])
        save(tmp_path / "video" / "mouse" / f"{number}.jpg", scene(100 + number))
    report = _check(tmp_path / "video")
    (leak,) = report.leaks
    assert leak.known_by == "counter in the name"
    assert leak.paths == tuple(f"cat/frame_{number:04d}.jpg" for number in range(20))


def test_multi_label_lists_are_checked_too(tmp_path):
    lines = ["path,labels"]
    for number in range(12):
        save(tmp_path / f"{number}.jpg", scene(number))
        lines.append(f"{number}.jpg,{'cat|dog' if number % 2 else 'dog'}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    report = check_photos(tmp_path / "list.csv", SMALL)
    assert report.counts == {
        "train": {"cat": 4, "dog": 8},
        "val": {"cat": 1, "dog": 2},
        "test": {"cat": 1, "dog": 2},
    }
    assert report.multi_label
    assert not report.stops
    assert (report.suspects, report.suspects_skipped) == (None, "not supported for multi-label photos")
    assert "Class" not in render_check_page(report).partition("<main>")[0]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [({"cat": 10}, "At least two classes"), ({"cat": 10, "mouse": 2}, "Class mouse has too few photos")],
)
def test_the_reason_why_training_would_stop(tmp_path, counts, reason):
    report = _check(photos(tmp_path, counts))
    assert reason in report.stops
    assert report.counts == {"photos": counts}
    assert f"Not ready to train: {report.stops}" in format_text(report)


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="No photos"):
        check_photos(tmp_path)


def test_without_weights_labels_are_skipped_or_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    photos(tmp_path, {"cat": 10, "mouse": 10})
    nowhere = SMALL.updated({"model": {"backbone": "efficientnet_lite0"}})  # its weights have no public download
    report = check_photos(tmp_path, nowhere)
    assert report.suspects is None
    assert "ImageNet weights of efficientnet_lite0 are not in" in report.suspects_skipped
    with pytest.raises(WeightsError):
        check_photos(tmp_path, nowhere, suspects=True)
    scratch = SMALL.updated({"model": {"weights": "none"}})
    assert "needs pretrained weights" in check_photos(tmp_path, scratch).suspects_skipped


def test_a_class_with_few_photos_is_the_reason_not_to_look_for_wrong_labels(tmp_path):
    report = check_photos(photos(tmp_path, {"cat": 10, "mouse": 9}), SMALL, suspects=True)
    assert report.suspects_skipped == "it needs 10 photos of each class, and there are fewer of mouse"


def test_the_page_holds_its_pictures_and_escapes_names(tmp_path):
    photos(tmp_path, {"cat": 12, "<b>mouse": 12})
    save(tmp_path / "cat" / "again.jpg", cv2.imread(str(tmp_path / "<b>mouse" / "03.jpg")), quality=60)
    save(tmp_path / "cat" / "01.jpg", np.full((150, 200, 3), 90, np.uint8))
    page = render_check_page(_check(tmp_path))
    assert page.count("data:image/jpeg;base64,") == 2 + 1 + 13 + 12  # the pair, the fault, the contact sheet
    assert "&lt;b&gt;mouse" in page
    assert "<b>mouse" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Possible label errors" in page


@pytest.mark.slow
def test_wrong_labels_are_found(tmp_path, shared_data, shared_keras, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(shared_keras))
    wrong = []
    for label, other in (("shoes", "pants"), ("pants", "shoes")):
        files = sorted((shared_data / "clothing" / "train" / label).iterdir())[:42]
        for file in files:
            target = tmp_path / (other if file in files[20:22] else label) / file.name
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)
            if file in files[20:22]:
                wrong.append(f"{other}/{file.name}")
    report = check_photos(tmp_path, SMALL.updated({"model": {"input_size": 96}}), suspects=True)
    assert report.suspects is not None
    found = {suspect.path for suspect in report.suspects}
    assert len(found & set(wrong)) >= 3  # of four, by 80 photos of 96 pixels
    assert len(found - set(wrong)) <= 3
    assert all(suspect.given != suspect.suggested for suspect in report.suspects)
    assert "may have a wrong label" in format_text(report)
