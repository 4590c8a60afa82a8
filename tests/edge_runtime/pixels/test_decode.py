"""Pictures from strangers: each is decoded within limits, or refused in one sentence."""

from __future__ import annotations

import re
import resource
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.cli.main import main
from edge_runtime.errors import FrameError, PictureError, SourceError
from edge_runtime.pixels.decode import MAX_SCANS, decode_picture, read_header
from edge_runtime.pixels.preprocess import resize_frame
from edge_runtime.sources import pictures
from edge_runtime.sources.pictures import read_picture
from edge_runtime.types import InputContract
from tests.support.strange_pictures import bomb, many_scans, smooth, write_bad, write_good
from tests.support.tiny import picture

SUFFIXES = [".jpg", ".png", ".webp", ".bmp"]


class TestReadPicture:
    def test_unusual_pictures_come_as_bgr(self, tmp_path: Path) -> None:
        expected = np.asarray(smooth())[:, :, ::-1].astype(int)
        for name, size in write_good(tmp_path).items():
            pixels = read_picture(tmp_path / name)
            assert (pixels.dtype, pixels.shape) == (np.uint8, (*size, 3)), name
            upright = np.rot90(pixels) if name == "loop.jpg" else pixels
            if size != (1, 1) and name not in ("long.png", "print.jpg", "deep_grey.png"):
                assert np.abs(upright - expected).max() <= 12, name

    def test_others_are_refused_in_one_sentence_and_little_memory(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        words = {
            "size": "has (more than|.* pixels; at most)",
            "format": "is not a JPEG, PNG",
            "damage": "is damaged or truncated",
        }
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, reason in write_bad(tmp_path).items():
            with pytest.raises(PictureError) as refusal:
                decode_picture((tmp_path / name).read_bytes())
            assert (name, refusal.value.reason) == (name, reason)
            capfd.readouterr()  # what the decoders' libraries say
            with pytest.raises(SourceError, match=words[reason]) as refused:
                read_picture(tmp_path / name)
            assert name in str(refused.value)
            assert "\n" not in str(refused.value)
            assert re.sub("libpng error: .*\n", "", capfd.readouterr().err) == ""
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024

    def test_a_file_of_too_many_bytes_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "zeros.bmp").write_bytes(b"BM" + bytes(2000))
        monkeypatch.setattr(pictures, "MAX_BYTES", 1000)
        with pytest.raises(SourceError, match=r"zeros\.bmp is larger than 1,000 bytes"):
            read_picture(tmp_path / "zeros.bmp")

    def test_the_command_goes_on_with_the_others(
        self, tiny_int8: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "good").mkdir()
        (tmp_path / "bad").mkdir()
        good, bad = write_good(tmp_path / "good"), write_bad(tmp_path / "bad")
        assert main(["classify", str(tiny_int8), str(tmp_path / "bad"), str(tmp_path / "good")]) == 1
        out, err = capsys.readouterr()
        assert len(out.splitlines()) == len(good)
        assert [f"edge-runtime: {tmp_path / 'bad' / name} " in err for name in bad] == [True] * len(err.splitlines())


class TestDecodePicture:
    def test_the_limit_is_exact(self) -> None:
        assert decode_picture(bomb(20, 30), max_pixels=600).shape == (20, 30, 3)
        with pytest.raises(PictureError, match="30×20 pixels; at most 599 are"):
            decode_picture(bomb(20, 30), max_pixels=599)

    def test_as_many_scans_as_encoders_write_are_taken(self) -> None:
        assert decode_picture(many_scans(MAX_SCANS)).shape == (60, 90, 3)
        with pytest.raises(PictureError, match=f"more than {MAX_SCANS} JPEG scans"):
            decode_picture(many_scans(MAX_SCANS + 1))

    def test_scans_can_not_hide_behind_an_end_that_is_none(self) -> None:
        data = many_scans(200)
        at = data.index(b"\xff\xda")
        comment = b"\xff\xfe\x00\x06\xff\xd9\xff\xd9"
        with pytest.raises(PictureError, match="scans"):
            decode_picture(data[:at] + comment + data[at:])

    def test_what_a_phone_appends_does_no_harm(self) -> None:
        photo = cv2.imencode(".jpg", picture("red"))[1].tobytes()
        assert decode_picture(photo + b"\xff\xda motion photo" * 100).shape == picture("red").shape

    @given(st.sampled_from(SUFFIXES), st.data())
    def test_damage_is_told_and_nothing_else_happens(self, suffix: str, draw: st.DataObject) -> None:
        data = bytearray(cv2.imencode(suffix, picture("red"))[1].tobytes())
        del data[draw.draw(st.integers(0, len(data))) :]
        for _ in range(draw.draw(st.integers(0, 4))):
            if data:
                data[draw.draw(st.integers(0, min(len(data), 64) - 1))] = draw.draw(st.integers(0, 255))
        try:
            pixels = decode_picture(bytes(data), max_pixels=1_000_000)
        except PictureError:
            return
        header = read_header(bytes(data))
        assert (pixels.dtype, pixels.shape) == (np.uint8, (header.height, header.width, 3))


class TestReadHeader:
    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            (".jpg", []),
            (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
            (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
            (".png", []),
            (".bmp", []),
            (".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]),
            (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        ],
    )
    def test_is_what_is_decoded(self, suffix: str, options: list[int]) -> None:
        for height, width in ((1, 1), (30, 40), (257, 300), (300, 257)):
            data = cv2.imencode(suffix, np.zeros((height, width, 3), np.uint8), options)[1].tobytes()
            header = read_header(data)
            assert (header.height, header.width, header.is_whole) == (height, width, True)
            assert decode_picture(data, max_pixels=100_000).shape == (height, width, 3)

    def test_of_a_webp_with_transparency(self) -> None:
        _, data = cv2.imencode(".webp", np.zeros((20, 30, 4), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 50])
        header = read_header(data.tobytes())
        assert (header.kind, header.height, header.width) == ("WebP", 20, 30)

    def test_a_jpeg_without_its_end_is_not_whole(self) -> None:
        data = cv2.imencode(".jpg", picture("red"))[1].tobytes()
        assert not read_header(data[:-2]).is_whole


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.5])
def test_an_array_of_floats_is_refused(value: float) -> None:
    contract = InputContract(8, 8, mean=(0.0,), std=(1.0,))
    frame: Any = np.full((8, 8, 3), value, np.float32)
    with pytest.raises(FrameError, match="Expected a uint8 array with pixels 0–255, got dtype float32"):
        resize_frame(frame, contract, color="rgb")
