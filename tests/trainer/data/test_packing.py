"""Photos go into shards and come out as the same pixels, or one sentence says which shard is at fault."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.types import InputContract
from tests.support.photos import photos, save, scene
from trainer.cli.main import main
from trainer.config import DataConfig
from trainer.data.dataset import scan
from trainer.data.images import read_image
from trainer.data.packing import pack
from trainer.data.pixels import load_pixels
from trainer.data.shards import deal, read_index, visit_photos
from trainer.errors import DatasetError, OutputFolderError
from trainer.types import SPLITS

CONTRACT = InputContract(24, 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("packing") / "photos", {"cat": 12, "dog": 9})


@pytest.fixture(scope="module")
def packed(folder: Path) -> Path:
    pack(folder, folder.parent / "packed", shards=4)
    return folder.parent / "packed"


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    """A copy of the packed photos for a test to damage."""
    return shutil.copytree(packed, tmp_path / "copy")


def test_the_same_split_and_the_same_pixels_come_out(folder: Path, packed: Path, tmp_path: Path) -> None:
    there, back = (scan(source, data=DataConfig(), seed=3) for source in (folder, packed))
    assert back == replace(there, root=packed)
    for split in SPLITS:
        expected = load_pixels(there, split, CONTRACT, tmp_path / "one")
        found = load_pixels(back, split, CONTRACT, tmp_path / "two")
        assert found.paths == expected.paths
        assert np.array_equal(found.images, expected.images)
        assert np.array_equal(found.labels, expected.labels)


def test_each_shard_is_a_fair_sample_that_others_can_read(packed: Path) -> None:
    import tensorflow as tf

    index = read_index(packed)
    assert [shard.count for shard in index.shards] == [6, 5, 5, 5]
    assert json.loads((packed / "shards.json").read_text())["counts"] == {"cat": 12, "dog": 9}
    for number, shard in enumerate(index.shards):
        assert {photo.labels for photo in index.photos if photo.shard == number} == {("cat",), ("dog",)}
        for record in tf.data.TFRecordDataset(str(packed / shard.file)):
            feature = tf.train.Example.FromString(record.numpy()).features.feature
            pixels = tf.io.decode_jpeg(feature["image/encoded"].bytes_list.value[0])
            assert pixels.shape == (150, 200, 3)
            (text,) = feature["image/class/text"].bytes_list.value
            (label,) = feature["image/class/label"].int64_list.value
            assert index.labels[label] == text.decode()


def test_only_the_shards_that_are_needed_are_opened(copy: Path) -> None:
    index = read_index(copy)
    for shard in index.shards[1:]:
        (copy / shard.file).write_bytes(bytes(shard.size_bytes))
    wanted = [photo.path for photo in index.photos if photo.shard == 0][:2]
    seen: dict[str, bytes] = {}
    assert sorted(visit_photos(copy, wanted, seen.__setitem__)) == wanted
    assert all(data.startswith(b"\xff\xd8") for data in seen.values())


def test_photos_are_dealt_to_workers_by_their_shards(packed: Path) -> None:
    dataset = scan(packed, data=DataConfig(), seed=0)
    hands = [deal(dataset, worker, of=3).photos for worker in range(3)]
    assert sorted((photo for hand in hands for photo in hand), key=lambda photo: photo.path) == list(dataset.photos)
    assert [len(hand) for hand in hands] == [11, 5, 5]  # of four shards, the first and the last go to the first
    with pytest.raises(DatasetError, match=r"The 4 shards .* for 4 workers, but there are 5\. .* --shards 5"):
        deal(dataset, 0, of=5)


def test_an_address_works_as_a_folder_does(folder: Path, tmp_path: Path) -> None:
    pack(folder, "ram://bucket/photos", shards=2)
    dataset = scan("ram://bucket/photos", data=DataConfig(), seed=0)
    assert len(load_pixels(dataset, "train", CONTRACT, tmp_path).images) == len(dataset.split("train"))
    with pytest.raises(OutputFolderError, match="ram://bucket/photos isn't a new or empty folder"):
        pack(folder, "ram://bucket/photos")
    with pytest.raises(DatasetError, match="ram:/"):
        scan("ram://bucket/nothing", data=DataConfig(), seed=0)


def test_larger_photos_are_made_smaller(tmp_path: Path) -> None:
    source = photos(tmp_path / "photos", {"cat": 3, "dog": 3})
    save(source / "dog" / "small.jpg", scene(99, height=40, width=60))
    index, _ = pack(source, tmp_path / "packed", size=64)
    assert {photo.path: (photo.height, photo.width) for photo in index.photos} == {
        "dog/small.jpg": (40, 60),
        **{f"{label}/{number:02}.jpg": (64, 85) for label in ("cat", "dog") for number in range(3)},
    }
    encoded: dict[str, bytes] = {}
    list(visit_photos(tmp_path / "packed", ["cat/00.jpg", "dog/small.jpg"], encoded.__setitem__))
    assert encoded["dog/small.jpg"] == (source / "dog" / "small.jpg").read_bytes()
    found = cv2.imdecode(np.frombuffer(encoded["cat/00.jpg"], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    expected = cv2.resize(read_image(source / "cat" / "00.jpg"), (85, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(found.astype(int) - expected).mean() < 2


def test_given_splits_groups_and_unreadable_files(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("test", 2)):
        photos(tmp_path / "photos" / split, {"cat": count, "dog": count}, start=10 * count)
    (tmp_path / "photos" / "train" / "cat" / "broken.jpg").write_bytes(b"")
    files = sorted((tmp_path / "photos").rglob("*.jpg"))
    listed = [f"{f.relative_to(tmp_path)},{f.parent.name},{f.parts[-3]},{f.stem}" for f in files]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,split,group", *listed]))
    index, unreadable = pack(tmp_path / "list.csv", tmp_path / "packed")
    assert unreadable == (("photos/train/cat/broken.jpg", "an empty file"),)
    for photo in index.photos:
        assert (photo.split, photo.group) == (photo.path.split("/")[1], Path(photo.path).stem)
    dataset = scan(tmp_path / "packed", data=DataConfig(), seed=0)
    assert dataset.given_split
    assert len(dataset.split("test")) == 4


def _truncate(folder: Path) -> None:
    shard = folder / "shard-00001-of-00004.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-9])


def _remove(folder: Path) -> None:
    (folder / "shard-00002-of-00004.tfrecord").unlink()


def _damage(folder: Path) -> None:
    shard = folder / "shard-00003-of-00004.tfrecord"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)


def _swap(folder: Path) -> None:
    """Make the index list a photo that no shard has."""
    listed = json.loads((folder / "shards.json").read_text())
    listed["photos"][0]["path"] = "cat/elsewhere.jpg"
    (folder / "shards.json").write_text(json.dumps(listed))


def _garble(folder: Path) -> None:
    (folder / "shards.json").write_text('{"format": "edge-trainer shards 1", "classes": []}')


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, r"Shard .*shard-00001-of-00004.tfrecord has .* bytes instead of .*: it is truncated"),
        (_remove, r"Shard .*shard-00002-of-00004.tfrecord is listed in shards.json but missing"),
        (_damage, r"Shard .*shard-00003-of-00004.tfrecord is damaged: corrupted record"),
        (_swap, r"Shard .* lacks cat/elsewhere.jpg, which shards.json lists"),
        (_garble, r"Cannot read the index of packed photos .*shards.json: "),
    ],
)
def test_what_is_wrong_with_the_shards_is_one_sentence(copy: Path, tmp_path: Path, spoil, message: str) -> None:
    spoil(copy)

    def read() -> None:
        dataset = scan(copy, data=DataConfig(), seed=0)
        for split in SPLITS:
            load_pixels(dataset, split, CONTRACT, tmp_path / "cache")

    with pytest.raises(DatasetError, match=message) as caught:
        read()
    assert "\n" not in str(caught.value)


def test_the_command_says_what_it_made(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = str(tmp_path / "packed")
    assert main(["pack", str(folder), "--to", to]) == 0
    assert capsys.readouterr().out.startswith("Packed 21 photos of 2 classes into 1 shard, 0.")
    for arguments, message in (
        (["pack", str(folder), "--to", to], "isn't a new or empty folder"),
        (["pack", to, "--to", to + "2"], "Cannot pack packed photos ("),
        (["check", to], "Cannot check packed photos ("),
        (["pack", str(folder), "--to", to + "2", "--size", "7"], "size must be 0 or at least 32, got 7"),
        (["pack", str(tmp_path / "nowhere"), "--to", to + "2"], "nowhere doesn't exist"),
    ):
        assert main(arguments) == 1
        assert message in capsys.readouterr().err
    assert not Path(to + "2").exists()


def test_a_folder_that_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(OutputFolderError, match=r"Cannot write shards to .*file/packed"):
        pack(folder, file / "packed")
