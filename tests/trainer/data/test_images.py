"""All picture formats decode to the same upright RGB pixels; damaged files are refused with a reason."""

from __future__ import annotations

import resource
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.strange_pictures import smooth, write_bad, write_good
from trainer.data.images import inspect_image, read_image
from trainer.errors import DatasetError

ORIENTATION = 0x0112
# What Image.transpose has to do to a picture for its EXIF orientation to undo it (EXIF 2.3).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return smooth()


def _largest_difference(path: Path, expected: Image.Image) -> int:
    return int(np.abs(read_image(path).astype(int) - np.asarray(expected.convert("RGB")).astype(int)).max())


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", TURNS)
def test_exif_rotation_is_undone_once(tmp_path, picture, suffix, orientation):
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"jpg": {"quality": 95, "subsampling": 0}, "png": {}, "webp": {"lossless": True}}[suffix]
    picture.transpose(TURNS[orientation]).save(path, exif=exif, **options)
    assert _largest_difference(path, picture) <= 12
    facts = inspect_image(path)
    assert (facts.height, facts.width, facts.unreadable) == (60, 90, "")


def test_a_transparent_picture_is_turned_once_too(tmp_path, picture):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture.convert("RGBA").transpose(TURNS[6]).save(tmp_path / "turned.png", exif=exif)
    assert _largest_difference(tmp_path / "turned.png", picture) == 0


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("jpg", mode) for mode in ("L", "RGB")]
    + [("png", mode) for mode in ("L", "1", "P", "RGB", "RGBA", "LA")]
    + [("bmp", mode) for mode in ("L", "1", "P", "RGB", "RGBA")]
    + [("webp", mode) for mode in ("L", "RGB", "RGBA")],
)
def test_color_modes(tmp_path, picture, mode, suffix):
    path = tmp_path / f"picture.{suffix}"
    image = picture.convert(mode)
    image.save(path, **({"lossless": True} if suffix == "webp" else {"quality": 95}))
    assert _largest_difference(path, image) <= (12 if suffix == "jpg" else 0)


def test_cmyk_keeps_its_colors(tmp_path, picture):
    picture.convert("CMYK").save(tmp_path / "print.jpg", quality=95, subsampling=0)
    assert _largest_difference(tmp_path / "print.jpg", picture) <= 12


def test_transparency_is_laid_on_white(tmp_path, picture):
    clear = picture.copy()
    clear.putalpha(Image.linear_gradient("L").resize(picture.size))
    clear.save(tmp_path / "clear.png")
    pixels = read_image(tmp_path / "clear.png")
    assert (pixels[0] >= 250).all()
    assert np.abs(pixels[-1].astype(int) - np.asarray(picture)[-1]).max() <= 3


def test_a_palette_with_a_transparent_color_is_laid_on_white(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.putpixel((3, 3), 1)
    image.save(tmp_path / "palette.png", transparency=0)
    pixels = read_image(tmp_path / "palette.png")
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert tuple(pixels[3, 3]) == (200, 10, 10)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_keep_the_upper_eight(tmp_path, picture, channels):
    rgb = np.asarray(picture)
    stored = {1: rgb[:, :, 0], 3: rgb[:, :, ::-1], 4: np.dstack([rgb[:, :, ::-1], np.full((60, 90), 255, np.uint8)])}
    cv2.imwrite(str(tmp_path / "deep.png"), stored[channels].astype(np.uint16) * 257)
    expected = np.repeat(rgb[:, :, :1], 3, axis=2) if channels == 1 else rgb
    assert np.array_equal(read_image(tmp_path / "deep.png"), expected)


def test_a_jpeg_has_the_bytes_that_opencv_gives_on_the_device(tmp_path, picture):
    picture.save(tmp_path / "photo.jpg", quality=70)
    assert np.array_equal(read_image(tmp_path / "photo.jpg"), cv2.imread(str(tmp_path / "photo.jpg"))[:, :, ::-1])


def test_the_suffix_does_not_matter(tmp_path, picture):
    picture.save(tmp_path / "photo.jpg", format="PNG")
    assert _largest_difference(tmp_path / "photo.jpg", picture) == 0


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp"])
def test_a_truncated_file_is_refused(tmp_path, picture, suffix, share):
    path = tmp_path / f"photo.{suffix}"
    noisy = Image.effect_noise((300, 200), 80).convert("RGB")
    noisy.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "truncated" in inspect_image(path).unreadable
    with pytest.raises(DatasetError, match=r"Cannot read .*: a truncated or damaged .* Replace or delete it"):
        read_image(path)


def test_the_end_of_an_exif_thumbnail_is_not_taken_for_the_end_of_the_photo(tmp_path, picture):
    picture.resize((30, 20)).save(tmp_path / "thumbnail.jpg")
    thumbnail = (tmp_path / "thumbnail.jpg").read_bytes()
    picture.save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + thumbnail)
    assert inspect_image(tmp_path / "photo.jpg").unreadable == ""
    data = (tmp_path / "photo.jpg").read_bytes()
    assert data.count(b"\xff\xd9") == 2
    (tmp_path / "photo.jpg").write_bytes(data[:-200])
    assert "truncated" in inspect_image(tmp_path / "photo.jpg").unreadable


def test_bytes_behind_the_end_do_no_harm(tmp_path, picture):
    picture.save(tmp_path / "motion.jpg")
    with (tmp_path / "motion.jpg").open("ab") as file:
        file.write(b"a phone's motion photo" * 100)
    assert inspect_image(tmp_path / "motion.jpg").unreadable == ""
    assert read_image(tmp_path / "motion.jpg").shape == (60, 90, 3)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # Pillow says so; the picture is what counts
def test_damaged_exif_leaves_the_picture_alone(tmp_path, picture):
    picture.save(tmp_path / "photo.jpg", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffnonsense")
    assert read_image(tmp_path / "photo.jpg").shape == (60, 90, 3)


def test_damage_in_the_middle_of_a_png_is_found(tmp_path):
    path = tmp_path / "photo.png"
    Image.effect_noise((200, 200), 80).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    assert "damaged PNG" in inspect_image(path).unreadable


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "an empty file"), (b"I am no picture.", "no JPEG, PNG, WebP or BMP"), (b"GIF89a" + bytes(40), "no JPEG")],
)
def test_a_file_that_is_no_picture_is_refused(tmp_path, content, reason):
    path = tmp_path / "note.jpg"
    path.write_bytes(content)
    assert reason in inspect_image(path).unreadable
    with pytest.raises(DatasetError, match=reason):
        read_image(path)


def test_a_missing_file_is_refused_with_the_systems_reason(tmp_path):
    with pytest.raises(DatasetError, match="No such file"):
        read_image(tmp_path / "missing.jpg")


@pytest.mark.parametrize("side", [10_000, 20_000])
def test_a_decompression_bomb_is_refused_unopened(tmp_path, side):
    path = tmp_path / "bomb.png"
    header = Image.new("1", (8, 8))
    header.save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    assert "89,478,485" in inspect_image(path, decode=True).unreadable


class TestPicturesFromStrangers:
    def test_unusual_ones_are_read(self, tmp_path, picture):
        for name, size in write_good(tmp_path).items():
            pixels = read_image(tmp_path / name)
            assert (pixels.dtype, pixels.shape) == (np.uint8, (*size, 3)), name
            facts = inspect_image(tmp_path / name, decode=True)
            assert (facts.height, facts.width, facts.unreadable) == (*size, ""), name
            upright = np.rot90(pixels) if name == "loop.jpg" else pixels
            if size != (1, 1) and name not in ("long.png", "deep_grey.png"):
                assert np.abs(upright.astype(int) - np.asarray(picture)).max() <= 12, name

    def test_others_are_refused_in_one_sentence_and_little_memory(self, tmp_path):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name in write_bad(tmp_path):
            reason = inspect_image(tmp_path / name, decode=True).unreadable
            assert reason, name
            with pytest.raises(DatasetError, match=f"Cannot read .*{name}: {reason}") as refusal:
                read_image(tmp_path / name)
            assert "\n" not in str(refusal.value)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024
