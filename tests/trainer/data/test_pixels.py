"""The pixel cache: the same bytes as on the device, made once, completely or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.pixels.preprocess import resize_frame
from edge_runtime.types import InputContract
from trainer.cli.main import main
from trainer.config import DataConfig
from trainer.data.cache import at_work, clear
from trainer.data.dataset import scan
from trainer.data.images import read_image
from trainer.data.pixels import load_pixels
from trainer.errors import DatasetError, OutputFolderError
from trainer.types import Dataset

CONTRACT = InputContract(16, 24)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(40):
            pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / label / f"{number}.jpg")
    return scan(tmp_path / "photos", data=DataConfig(), seed=0)


def _spoil(path: Path) -> None:
    """Turn the quantization tables into comments: header and end stay valid, so `scan` doesn't notice."""
    path.write_bytes(path.read_bytes().replace(b"\xff\xdb", b"\xff\xfe"))


@pytest.mark.parametrize("contract", [CONTRACT, replace(CONTRACT, crop="stretch"), replace(CONTRACT, color="gray")])
def test_pixels_are_those_of_the_device(dataset, tmp_path, contract):
    pixels = load_pixels(dataset, "train", contract, tmp_path / "cache")
    photos = dataset.split("train")
    assert pixels.images.shape == (len(photos), 16, 24, contract.channels)
    assert pixels.paths == tuple(photo.path for photo in photos)
    assert pixels.labels.tolist() == [photo.label for photo in photos]
    for image, photo in zip(pixels.images, photos, strict=True):
        assert np.array_equal(image, resize_frame(read_image(dataset.root / photo.path), contract, color="rgb"))


def test_a_second_call_reads_no_photo(dataset, tmp_path):
    first = load_pixels(dataset, "val", CONTRACT, tmp_path / "cache")
    for photo in dataset.photos:
        (dataset.root / photo.path).unlink()
    second = load_pixels(dataset, "val", replace(CONTRACT, mean=(1.0,), std=(2.0,)), tmp_path / "cache")
    assert np.array_equal(first.images, second.images)
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable


@pytest.mark.parametrize("change", [{"height": 20}, {"crop": "stretch"}, {"interpolation": "area"}, {"color": "bgr"}])
def test_another_contract_has_another_cache(dataset, tmp_path, change):
    load_pixels(dataset, "val", CONTRACT, tmp_path / "cache")
    load_pixels(dataset, "val", replace(CONTRACT, **change), tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_another_photo_has_another_cache(dataset, tmp_path):
    load_pixels(dataset, "test", CONTRACT, tmp_path / "cache")
    path = dataset.root / dataset.split("test")[0].path
    Image.new("RGB", (40, 40), "red").save(path)
    changed = replace(
        dataset,
        photos=tuple(replace(p, sha256="0" * 64) if dataset.root / p.path == path else p for p in dataset.photos),
    )
    assert load_pixels(changed, "test", CONTRACT, tmp_path / "cache").images[0, 0, 0].tolist() == [254, 0, 0]


def test_a_photo_that_can_not_be_decoded_after_all_is_left_out(dataset, tmp_path, caplog):
    photos = dataset.split("train")
    _spoil(dataset.root / photos[3].path)
    for _ in "made", "reused":
        pixels = load_pixels(dataset, "train", CONTRACT, tmp_path / "cache")
        assert len(pixels) == len(pixels.images) == len(photos) - 1
        assert pixels.paths == tuple(photo.path for photo in photos if photo is not photos[3])
    last = resize_frame(read_image(dataset.root / photos[-1].path), CONTRACT, color="rgb")
    assert np.array_equal(pixels.images[-1], last)
    assert photos[3].path in caplog.text


def test_too_many_of_them_stop_the_run_and_leave_nothing(dataset, tmp_path):
    for photo in dataset.split("train")[:5]:
        _spoil(dataset.root / photo.path)
    with pytest.raises(
        DatasetError, match=r"5 of the 48 train photos can't be decoded. First error: .*truncated or damaged"
    ):
        load_pixels(dataset, "train", CONTRACT, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_can_not_be_made(dataset, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputFolderError, match="Cannot write decoded photos to"):
        load_pixels(dataset, "train", CONTRACT, tmp_path / "file" / "cache")


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the system can't reserve room")
def test_a_full_disk_is_an_error_and_leaves_nothing(dataset, tmp_path, monkeypatch):
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)  # a real full disk needs root
    with pytest.raises(OutputFolderError, match=r"No space left on device. Free some space"):
        load_pixels(dataset, "train", CONTRACT, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_empty_split(dataset, tmp_path):
    with pytest.raises(DatasetError, match=r"The val split of .* has no photos"):
        load_pixels(replace(dataset, photos=dataset.split("train")), "val", CONTRACT, tmp_path)


def _cache_of(folder: Path) -> Path:
    (cache,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    return cache


def _flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda cache: _flip(cache / "images.npy", -1),
        lambda cache: _flip(cache / "images.npy", 5000),
        lambda cache: _flip(cache / "images.npy", 70),
        lambda cache: os.truncate(cache / "images.npy", 4000),
        lambda cache: os.truncate(cache / "images.npy", 0),
        lambda cache: (cache / "images.npy").unlink(),
        lambda cache: (cache / "kept.json").unlink(),
        lambda cache: (cache / "kept.json").write_text("[0, 1]"),
        lambda cache: os.truncate(cache / "kept.json", 20),
        lambda cache: (cache / "kept.json").write_text((cache / "kept.json").read_text().replace(" 3,", " 4,")),
    ],
    ids=["last byte", "a pixel", "header", "cut", "empty", "gone", "no record", "old record", "half", "other photos"],
)
def test_damage_is_found_and_the_cache_made_anew(dataset, tmp_path, caplog, damage):
    good = load_pixels(dataset, "train", CONTRACT, tmp_path / "cache").images.copy()
    damage(_cache_of(tmp_path / "cache"))
    for _ in "made anew", "read":
        pixels = load_pixels(dataset, "train", CONTRACT, tmp_path / "cache")
        assert np.array_equal(pixels.images, good)
        assert pixels.paths == tuple(photo.path for photo in dataset.split("train"))
    assert caplog.text.count("is damaged; decoding the photos again") == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_decoding_that_was_killed_is_swept_away(dataset, tmp_path):
    code = f"""
import os, signal
from trainer.data import pixels
from trainer.data.dataset import scan
from trainer.config import DataConfig
from edge_runtime.types import InputContract
from pathlib import Path

pixels.read_image = lambda path: os.kill(os.getpid(), signal.SIGKILL)
dataset = scan(Path({str(tmp_path / "photos")!r}), data=DataConfig(), seed=0)
pixels.load_pixels(dataset, "train", InputContract(16, 24), {str(tmp_path / "cache")!r})
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == -signal.SIGKILL
    (left,) = (tmp_path / "cache").iterdir()
    assert left.name.endswith(".partial")
    load_pixels(dataset, "val", CONTRACT, tmp_path / "cache")
    assert [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()] == ["val"]


def test_a_decoding_that_is_under_way_is_left_alone(tmp_path):
    unfinished = tmp_path / ".train-0-1.partial"
    with at_work(tmp_path):
        unfinished.mkdir()
        with at_work(tmp_path):
            pass
        with pytest.raises(OutputFolderError, match="Another process"):
            clear(tmp_path)
        assert unfinished.is_dir()
    with at_work(tmp_path):
        assert not unfinished.exists()


def test_caches_are_listed_and_cleared(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert main(["cache"]) == 0
    pixels = load_pixels(dataset, "train", CONTRACT, tmp_path / "edge_trainer")
    (tmp_path / "edge_trainer" / "features-train-0.npy").write_bytes(bytes(3 << 20))
    assert main(["cache"]) == 0
    assert main(["cache", "--clear"]) == 0
    assert main(["cache"]) == 0
    empty, *listed, total, cleared, again = capsys.readouterr().out.splitlines()
    assert empty.split()[:3] == again.split()[:3] == ["0.0", "MiB", "in"]
    assert sorted(line.split()[-1].split("-")[0] for line in listed) == ["features", "train"]
    assert total.split()[:3] == ["3.1", "MiB", "in"]
    assert cleared.split()[:4] == ["3.1", "MiB", "removed", "from"]
    assert list((tmp_path / "edge_trainer").iterdir()) == []
    assert pixels.images.max() > 0  # what is open stays readable
