"""Lists and other programs' exports are read as they are, or one sentence says what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.photos import save, scene
from trainer.config import DataConfig
from trainer.data.dataset import scan, survey
from trainer.data.formats import find_photos
from trainer.errors import DatasetError
from trainer.types import Dataset


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _entries(source: Path) -> list[tuple[object, ...]]:
    return [(entry.path, *entry.labels, entry.given, entry.group) for entry in find_photos(source).entries]


@pytest.mark.parametrize(
    "text",
    [
        "path,label,split,group\na/1.jpg,cat,train,mon\nb 2.jpg,dog,test,tue\n",
        "\ufeffFile Name;Class;Subset;Session ID\r\na/1.jpg;cat;Training;mon\r\nb 2.jpg;dog;testing;tue\r\n",
        "split\tgroup\timage_path\tcategory\ntrain\tmon\ta\\1.jpg\tcat\ntest\ttue\tb 2.jpg\tdog\n",
        "a/1.jpg,cat,train,mon\n\nb 2.jpg,dog,test,tue\n",
    ],
    ids=["plain", "from a spreadsheet", "tabs", "no header"],
)
def test_csv_lists(tmp_path, text):
    found = find_photos(_write(tmp_path / "list.csv", text))
    assert _entries(tmp_path / "list.csv") == [("a/1.jpg", "cat", "train", "mon"), ("b 2.jpg", "dog", "test", "tue")]
    assert (found.root, found.kind) == (tmp_path, "CSV list")
    assert found.classes == {"train": ("cat",), "test": ("dog",)}
    assert not found.multi_label


def test_json_lines(tmp_path):
    lines = ['{"path": "1.jpg", "label": "cat", "session": 7}', "", '{"filename": "2.jpg", "labels": ["dog"]}']
    assert _entries(_write(tmp_path / "list.jsonl", "\n".join(lines))) == [
        ("1.jpg", "cat", None, "7"),
        ("2.jpg", "dog", None, ""),
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "path,labels\n1.jpg,cat|dog\n2.jpg,dog\n3.jpg,\n"),
        ("b.csv", "path,label\n1.jpg,cat;dog\n2.jpg,dog\n3.jpg,\n"),
        (
            "c.jsonl",
            '{"path":"1.jpg","labels":["cat","dog"]}\n{"path":"2.jpg","label":"dog"}\n{"path":"3.jpg","labels":[]}',
        ),
        ("d.csv", "filename, cat, dog\n1.jpg, 1, 1\n2.jpg, 0, 1\n3.jpg, 0, 0\n"),
    ],
)
def test_multi_label_lists_are_read(tmp_path, name, text):
    found = find_photos(_write(tmp_path / name, text))
    assert [entry.labels for entry in found.entries] == [("cat", "dog"), ("dog",), ()]
    assert found.multi_label


def test_photos_of_multi_label_lists_keep_all_their_labels(tmp_path):
    lines = ["path,labels", *(f"{number}.jpg,{'cat|dog' if number % 2 else 'dog'}" for number in range(8)), "8.jpg,"]
    for number in range(9):
        save(tmp_path / f"{number}.jpg", scene(number))
    dataset = scan(_write(tmp_path / "a.csv", "\n".join(lines)), data=DataConfig(), seed=0)
    assert (dataset.labels, dataset.multi_label) == (("cat", "dog"), True)
    assert [photo.labels for photo in dataset.photos] == [(1,), (0, 1)] * 4 + [()]
    assert Dataset.from_dict(json.loads(json.dumps(dataset.to_dict()))) == dataset
    (tmp_path / "a.csv").write_text("\n".join(lines[:3]))
    with pytest.raises(DatasetError, match=r"Class cat has too few photos .* at least 3 are needed"):
        scan(tmp_path / "a.csv", data=DataConfig(), seed=0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "contains no photos"),
        ("a.csv", "path,label\n", "contains no photos. Add lines of the form path,label"),
        ("a.csv", "name,label\n1,cat\n", r"no column of paths \(its columns: name, label\)"),
        ("a.csv", "path,weight\n1.jpg,3.5\n", "no column of labels .* or add a column of 0 and 1"),
        ("a.csv", "path,label\n1.jpg\n", "Line 2 of .* has 1 of at least 2 fields"),
        ("a.csv", "path,label,split\n1.jpg,cat,somewhere\n", "Line 2 of .* has the unknown split 'somewhere'"),
        ("a.csv", "path,label,split\n1.jpg,cat,train\n2.jpg,cat,\n", "a split for some photos, but not for 2.jpg"),
        ("a.csv", "path,label\n1.jpg,cat\n1.jpg,dog\n", r"lists 1.jpg twice .* line 2 \(cat\) .* line 3 \(dog\)"),
        ("a.csv", "path,label\n,cat\n", "Line 2 of .* has no path"),
        ("a.jsonl", "[1]\n", "Line 1 of .* has no path and label"),
        ("a.jsonl", '{"path": "1.jpg"\n', "Line 1 of .* isn't valid JSON"),
    ],
)
def test_a_bad_list_is_told_by_its_line(tmp_path, name, text, message):
    with pytest.raises(DatasetError, match=message):
        find_photos(_write(tmp_path / name, text))


def test_a_list_that_is_no_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(DatasetError, match=r"Cannot read the list .*UTF-8"):
        find_photos(tmp_path / "a.csv")


def test_listed_files_that_are_missing_or_without_label_are_named(tmp_path):
    save(tmp_path / "1.jpg", scene(1))
    save(tmp_path / "2.jpg", scene(2))
    found = survey(_write(tmp_path / "a.csv", "path,label\n1.jpg,cat\n2.jpg,\ngone.jpg,dog\n"))
    assert dict(found.unreadable) == {
        "2.jpg": "a photo without a label",
        "gone.jpg": "a file that can't be opened (No such file or directory)",
    }


def test_a_list_is_trained_on_with_its_splits_and_absolute_paths(tmp_path):
    lines = ["path,label,split"]
    for number in range(12):
        file = save(tmp_path / "elsewhere" / f"{number}.jpg", scene(number))
        lines.append(f"{file},{'cat' if number % 2 else 'dog'},{('train', 'train', 'val', 'test')[number // 3]}")
    dataset = scan(_write(tmp_path / "lists" / "a.csv", "\n".join(lines)), data=DataConfig(), seed=0)
    assert dataset.given_split
    assert [len(dataset.split(split)) for split in ("train", "val", "test")] == [6, 3, 3]
    assert (dataset.root / dataset.photos[0].path).is_file()


def test_teachable_machine(tmp_path):
    for name in ("Class 1-!-0.jpg", "Class 1-!-1.jpg", "hand-!-made-!-0.png"):
        save(tmp_path / name, scene(1))
    _write(tmp_path / "manifest.json", "{}")
    found = find_photos(tmp_path)
    assert found.kind == "Teachable Machine project"
    assert [entry.labels for entry in found.entries] == [("Class 1",), ("Class 1",), ("hand-!-made",)]


def test_roboflow_folders_keep_the_versions_of_a_picture_together(tmp_path):
    _write(tmp_path / "README.roboflow.txt", "")
    for split, name in (("train", "a_jpg.rf.1f.jpg"), ("train", "a_jpg.rf.2e.jpg"), ("valid", "plain.jpg")):
        save(tmp_path / split / "cat" / name, scene(1))
    assert find_photos(tmp_path).kind == "Roboflow export"
    assert _entries(tmp_path) == [
        ("train/cat/a_jpg.rf.1f.jpg", "cat", "train", "a_jpg"),
        ("train/cat/a_jpg.rf.2e.jpg", "cat", "train", "a_jpg"),
        ("valid/cat/plain.jpg", "cat", "val", ""),
    ]


def test_roboflow_tables(tmp_path):
    _write(tmp_path / "train" / "_classes.csv", "filename, cat, dog\na_jpg.rf.1f.jpg, 1, 0\nb.jpg, 0, 1\n")
    _write(tmp_path / "test" / "_classes.csv", "filename, cat, dog\nc.jpg, 0, 1\n")
    found = find_photos(tmp_path)
    assert _entries(tmp_path) == [
        ("test/c.jpg", "dog", "test", ""),
        ("train/a_jpg.rf.1f.jpg", "cat", "train", "a_jpg"),
        ("train/b.jpg", "dog", "train", ""),
    ]
    assert (found.kind, found.multi_label) == ("Roboflow export", False)


def test_edge_impulse_with_its_list(tmp_path):
    files = [
        {"path": "training/cat.1.jpg", "category": "training", "label": {"type": "label", "label": "cat"}},
        {"path": "testing/odd name.jpg", "category": "testing", "label": {"type": "label", "label": "dog"}},
        {"path": "training/what.jpg", "category": "training", "label": {"type": "unlabeled"}},
        {"path": "training/sound.wav", "category": "training", "label": {"type": "label", "label": "cat"}},
    ]
    _write(tmp_path / "info.labels", json.dumps({"version": 1, "files": files}))
    assert _entries(tmp_path) == [
        ("testing/odd name.jpg", "dog", "test", ""),
        ("training/cat.1.jpg", "cat", "train", ""),
        ("training/what.jpg", "train", ""),
    ]


def test_edge_impulse_by_names(tmp_path):
    for name in ("training/cat.1.abc.jpg", "training/big dog.2.jpg", "testing/cat.jpg"):
        save(tmp_path / name, scene(1))
    assert _entries(tmp_path) == [
        ("testing/cat.jpg", "cat", "test", ""),
        ("training/big dog.2.jpg", "big dog", "train", ""),
        ("training/cat.1.abc.jpg", "cat", "train", ""),
    ]


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"files": [{"path": 3}]}', '{"files": [{"path": "a.jpg", "label": "cat"}]}']
)
def test_edge_impulse_with_a_damaged_list(tmp_path, text):
    with pytest.raises(DatasetError, match="isn't a valid Edge Impulse file list"):
        find_photos(_write(tmp_path / "info.labels", text).parent)


def test_class_folders_called_training_stay_class_folders(tmp_path):
    save(tmp_path / "training" / "easy" / "1.jpg", scene(1))
    save(tmp_path / "testing" / "hard" / "2.jpg", scene(2))
    assert find_photos(tmp_path).classes == {None: ("testing", "training")}


def test_a_file_that_is_no_list(tmp_path):
    with pytest.raises(DatasetError, match=r"a\.jpg is neither a folder of photos nor a list"):
        find_photos(save(tmp_path / "a.jpg", scene(1)))
    with pytest.raises(DatasetError, match=r"is a ZIP archive\. Unzip it"):
        find_photos(_write(tmp_path / "project.tm", ""))
