from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest

from trainer.errors import WeightsError
from trainer.training.networks.backbones import Backbone, get_backbone
from trainer.training.networks.weights import resolve_weights

NAME = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
HDF5 = b"\x89HDF\r\n\x1a\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory, and no KERAS_HOME."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KERAS_HOME", raising=False)
    return tmp_path / "home"


@pytest.fixture
def published(tmp_path: Path) -> Callable[[bytes], Backbone]:
    """A backbone whose weights are downloaded from a folder."""

    def publish(content: bytes) -> Backbone:
        folder = tmp_path / "published"
        folder.mkdir()
        (folder / "body.h5").write_bytes(content)
        return Backbone("body", lambda image: image, weights_file="body.h5", weights_url=folder.as_uri())

    return publish


@pytest.fixture
def unreachable() -> Backbone:
    """A backbone whose download server does not answer: port 9 of this machine."""
    return Backbone("body", lambda image: image, weights_file="body.h5", weights_url="http://127.0.0.1:9")


def put(file: Path) -> Path:
    file.parent.mkdir(parents=True)
    file.write_bytes(HDF5)
    return file


def test_none_starts_from_scratch(home: Path) -> None:
    assert resolve_weights(get_backbone("mobilenet_v2_0.35"), "none") is None


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = put(tmp_path / "mine" / "weights.h5")
    assert resolve_weights(get_backbone("mobilenet_v2_0.35"), str(file)) == file


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Weights file .* not found"):
        resolve_weights(get_backbone("mobilenet_v2_0.35"), str(tmp_path / "weights.h5"))


def test_keras_home_goes_before_the_home_directory(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = get_backbone("mobilenet_v2_0.35")
    in_home = put(home / ".keras" / "models" / NAME)
    assert resolve_weights(backbone, "imagenet") == in_home
    in_keras_home = put(tmp_path / "keras" / "models" / NAME)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert resolve_weights(backbone, "imagenet") == in_keras_home


@pytest.mark.parametrize(("input_size", "named"), [(0, 224), (96, 96), (100, 224)])
def test_an_input_size_without_weights_of_its_own_takes_those_of_224(home: Path, input_size: int, named: int) -> None:
    file = put(home / ".keras" / "models" / NAME.replace("224", str(named)))
    assert resolve_weights(get_backbone("mobilenet_v2_0.35"), "imagenet", input_size) == file


def test_what_is_not_in_the_cache_is_downloaded_there(home: Path, published: Callable[[bytes], Backbone]) -> None:
    content = HDF5 + bytes(200_000)
    file = resolve_weights(published(content), "imagenet")
    assert file == home / ".keras" / "models" / "body.h5"
    assert file.read_bytes() == content


def test_a_download_that_is_no_weights_file_leaves_nothing(home: Path, published: Callable[[bytes], Backbone]) -> None:
    with pytest.raises(WeightsError, match="not an HDF5 file"):
        resolve_weights(published(b"<html>log in first</html>"), "imagenet")
    assert list((home / ".keras" / "models").iterdir()) == []


def test_unreachable_weights_are_an_error_with_a_way_out(home: Path, unreachable: Backbone) -> None:
    with pytest.raises(WeightsError, match=r"cannot be downloaded.*http://127.0.0.1:9/body.h5") as caught:
        resolve_weights(unreachable, "imagenet")
    assert isinstance(caught.value.__cause__, URLError)


def test_auto_says_in_one_line_that_it_starts_from_scratch(
    home: Path, unreachable: Backbone, capsys: pytest.CaptureFixture[str]
) -> None:
    assert resolve_weights(unreachable, "auto") is None
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "training from scratch" in line


def test_a_backbone_without_imagenet_weights_says_so(home: Path) -> None:
    with pytest.raises(WeightsError, match="no ImageNet weights for basic_cnn"):
        resolve_weights(get_backbone("basic_cnn"), "imagenet")
    lines: list[str] = []
    assert resolve_weights(get_backbone("basic_cnn"), "auto", log=lines.append) is None
    assert len(lines) == 1
