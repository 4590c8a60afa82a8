from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.errors import FrameError
from edge_runtime.pixels.preprocess import Preprocessor, Resizer, center_slices, pixel_table, resize_frame
from edge_runtime.types import InputContract, TensorSpec

OURS = InputContract(8, 8, mean=(128.0,), std=(127.5,))
# As TensorFlow Lite stores it: the float32 nearest to 1/127.5.
OUR_SCALE = float(np.float32(1 / 127.5))

means = st.floats(-50.0, 300.0, allow_nan=False)
stds = st.floats(0.5, 300.0, allow_nan=False)
scales = st.floats(1e-3, 1.0).map(lambda scale: float(np.float32(scale)))
sides = st.integers(1, 70)


def frame(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width, channels) if channels else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def spec(dtype: str, channels: int = 3, scale: float = 0.0, zero_point: int = 0, side: int = 8) -> TensorSpec:
    return TensorSpec(dtype, (1, side, side, channels), scale, zero_point)


class TestPixelTable:
    @given(means, stds)
    def test_a_float_tensor_gets_the_definition_rounded_once(self, mean: float, std: float) -> None:
        table = pixel_table(InputContract(8, 8, mean=(mean,), std=(std,)), spec("float32"))
        expected = [np.float32((pixel - mean) / std) for pixel in range(256)]
        assert table.dtype == np.float32
        assert table.shape == (256, 3)
        assert (table == np.array(expected)[:, None]).all()

    @settings(max_examples=50)  # each compares 256 fractions
    @given(means, stds, scales, st.sampled_from(["int8", "uint8"]), st.integers(0, 255))
    def test_a_quantized_tensor_gets_the_nearest_step(
        self, mean: float, std: float, scale: float, dtype: str, zero: int
    ) -> None:
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        table = pixel_table(
            InputContract(8, 8, mean=(mean,), std=(std,)), spec(dtype, scale=scale, zero_point=zero + low)
        )
        assert table.dtype == dtype
        column = table[:, 0].astype(int)
        assert (np.diff(column) >= 0).all()
        for pixel in range(256):
            exact = (pixel - Fraction(mean)) / Fraction(std) / Fraction(scale) + zero + low
            within = min(max(exact, Fraction(low)), Fraction(high))
            assert abs(within - int(column[pixel])) <= Fraction(1, 2) + Fraction(3, 10**5)

    def test_our_models_store_the_pixel_minus_128_exactly(self) -> None:
        table = pixel_table(OURS, spec("int8", scale=OUR_SCALE, zero_point=0))
        assert (table == np.arange(-128, 128)[:, None]).all()

    def test_our_uint8_models_store_the_pixel_itself(self) -> None:
        table = pixel_table(OURS, spec("uint8", scale=OUR_SCALE, zero_point=128))
        assert (table == np.arange(256)[:, None]).all()

    def test_exact_halves_go_up_in_spite_of_a_scale_that_float32_holds_too_large(self) -> None:
        # The definition asks for pixel / 2 rounded half up; float32(0.2) is above 0.2, so each quotient lies below.
        table = pixel_table(InputContract(8, 8, mean=(0.0,), std=(10.0,)), spec("uint8", scale=float(np.float32(0.2))))
        assert (table[:, 0] == (np.arange(256) + 1) // 2).all()

    def test_each_channel_has_its_own_mean_and_std(self) -> None:
        contract = InputContract(8, 8, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
        table = pixel_table(contract, spec("float32"))
        expected = (np.arange(256)[:, None] - np.array(contract.mean)) / np.array(contract.std)
        assert (table == expected.astype(np.float32)).all()

    def test_a_grey_contract_has_one_column(self) -> None:
        assert pixel_table(InputContract(8, 8, color="gray"), spec("float32", 1)).shape == (256, 1)


class TestResizeFrame:
    @given(
        sides, sides, sides, sides, st.sampled_from(["center", "stretch"]),
        st.sampled_from(["pyramid", "linear", "area", "nearest"]), st.sampled_from(["rgb", "bgr", "gray"]),
        st.sampled_from(["rgb", "bgr", "gray"]),
    )  # fmt: skip
    def test_any_frame_becomes_the_contracts_shape(
        self, rows: int, columns: int, height: int, width: int, crop: str, interpolation: str, target: str, color: str
    ) -> None:
        contract = InputContract(height, width, color=target, crop=crop, interpolation=interpolation)  # type: ignore[arg-type]
        picture = frame(rows, columns, 0 if color == "gray" else 3)
        before = picture.copy()
        resized = resize_frame(picture, contract, color=color)  # type: ignore[arg-type]
        assert resized.shape == (height, width, contract.channels)
        assert resized.dtype == np.uint8
        assert (picture == before).all()
        assert not np.shares_memory(picture, resized)
        again = resize_frame(resized, contract, color=target)  # type: ignore[arg-type]
        assert (again == resized).all()

    @given(sides, sides, st.sampled_from(["rgb", "bgr", "gray"]))
    def test_bgr_and_rgb_frames_of_one_picture_give_the_same(self, rows: int, columns: int, target: str) -> None:
        contract = InputContract(24, 24, color=target)  # type: ignore[arg-type]
        bgr = frame(rows, columns)
        same = resize_frame(bgr, contract, color="bgr") == resize_frame(bgr[:, :, ::-1].copy(), contract, color="rgb")
        assert same.all()

    def test_channel_order_comes_out_as_the_contract_says(self) -> None:
        blue = np.zeros((20, 30, 3), np.uint8)
        blue[:, :, 0] = 200
        assert resize_frame(blue, InputContract(4, 4, color="rgb"), color="bgr")[1, 1].tolist() == [0, 0, 200]
        assert resize_frame(blue, InputContract(4, 4, color="bgr"), color="bgr")[1, 1].tolist() == [200, 0, 0]
        assert resize_frame(blue, InputContract(4, 4, color="rgb"), color="rgb")[1, 1].tolist() == [200, 0, 0]

    def test_a_grey_contract_weighs_the_colours_as_rec_601(self) -> None:
        red = np.zeros((8, 8, 3), np.uint8)
        red[:, :, 2] = 200
        assert resize_frame(red, InputContract(8, 8, color="gray"), color="bgr")[0, 0, 0] == round(0.299 * 200)

    @pytest.mark.parametrize("color", ["bgr", "rgb", "gray"])
    @pytest.mark.parametrize("shape", [(37, 53), (37, 53, 1)])
    def test_a_grey_frame_fills_all_channels_whatever_color_says(self, color: str, shape: tuple[int, ...]) -> None:
        grey = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
        resized = resize_frame(grey, InputContract(8, 8), color=color)  # type: ignore[arg-type]
        assert resized.shape == (8, 8, 3)
        assert (resized == resized[:, :, :1]).all()
        assert (resized[:, :, :1] == resize_frame(grey, InputContract(8, 8, color="gray"), color="gray")).all()

    @pytest.mark.parametrize("interpolation", ["pyramid", "linear", "area", "nearest"])
    def test_views_that_are_not_contiguous_are_the_same_picture(self, interpolation: str) -> None:
        contract = InputContract(9, 7, interpolation=interpolation)  # type: ignore[arg-type]
        big = frame(80, 120)
        for view in (big[::2, ::3], big[:, ::-1], big[::-1], big[5:60, 11:77], big[:, :, ::-1], big.transpose(1, 0, 2)):
            assert not view.flags.c_contiguous
            expected = resize_frame(np.ascontiguousarray(view), contract, color="bgr")
            assert (resize_frame(view, contract, color="bgr") == expected).all()

    def test_read_only_frames_are_taken(self) -> None:
        picture = frame(40, 40)
        picture.setflags(write=False)
        assert resize_frame(picture, InputContract(8, 8), color="bgr").shape == (8, 8, 3)

    def test_linear_is_opencvs(self) -> None:
        picture = frame(90, 120)
        contract = InputContract(32, 32, color="bgr", crop="stretch", interpolation="linear")
        expected = cv2.resize(picture, (32, 32), interpolation=cv2.INTER_LINEAR)
        assert (resize_frame(picture, contract, color="bgr") == expected).all()

    def test_pyramid_halves_by_exact_rounded_means(self) -> None:
        picture = frame(64, 64)
        blocks = picture.reshape(32, 2, 32, 2, 3).astype(int).sum(axis=(1, 3))
        halved = resize_frame(picture, InputContract(32, 32), color="rgb")
        assert (np.abs(halved.astype(int) * 4 - blocks) <= 2).all()

    def test_pyramid_keeps_fine_stripes_of_a_large_photo_from_aliasing(self) -> None:
        stripes = np.zeros((1024, 1024, 3), np.uint8)
        stripes[:, ::3] = 255
        smooth = resize_frame(stripes, InputContract(32, 32), color="rgb")
        assert smooth.std() < 8
        assert abs(smooth.mean() - 85) < 2
        aliased = resize_frame(stripes, InputContract(32, 32, interpolation="nearest"), color="rgb")
        assert aliased.std() > 100

    def test_pyramid_gives_these_bytes_on_every_machine(self) -> None:
        y, x = np.mgrid[0:480, 0:640]
        picture = np.stack([(x * 3 + y) % 256, (x * y) % 256, (x ^ y) % 256], axis=2).astype(np.uint8)
        smaller = resize_frame(picture, InputContract(5, 4), color="rgb")
        assert smaller[::2, ::2].reshape(-1, 3).tolist() == [
            [129, 125, 182], [114, 125, 106], [143, 126, 80], [133, 126, 144], [119, 126, 80], [139, 126, 157]
        ]  # fmt: skip
        larger = resize_frame(picture[:3, :3], InputContract(7, 6), color="rgb")
        assert larger[::3, ::2].reshape(-1, 3).tolist() == [
            [0, 0, 0], [1, 0, 0], [3, 0, 1], [1, 0, 1], [2, 0, 1], [4, 1, 0], [2, 0, 2], [3, 1, 2], [5, 2, 3]
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("bad", "color", "word"),
        [
            (np.zeros((8, 8, 3), np.float32), "bgr", "float32"),
            (np.zeros((8, 8, 4), np.uint8), "bgr", r"\(8, 8, 4\)"),
            (np.zeros((8, 8, 2), np.uint8), "bgr", r"\(8, 8, 2\)"),
            (np.zeros(64, np.uint8), "bgr", r"\(64,\)"),
            (np.zeros((1, 8, 8, 3), np.uint8), "bgr", r"\(1, 8, 8, 3\)"),
            (np.zeros((0, 8, 3), np.uint8), "bgr", r"\(0, 8, 3\)"),
            (np.zeros((8, 8, 3), np.uint8), "gray", "gray"),
            (np.zeros((8, 8, 3), np.uint8), "hsv", "hsv"),
            ([[1, 2], [3, 4]], "bgr", "list"),
            (None, "bgr", "cv2.imread returns None"),
        ],
    )
    def test_what_is_no_frame_is_refused_in_words(self, bad: object, color: str, word: str) -> None:
        with pytest.raises(FrameError, match=word):
            resize_frame(bad, InputContract(8, 8), color=color)  # type: ignore[arg-type]


class TestCenterWindow:
    @given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 300), st.integers(1, 300))
    def test_is_the_largest_centred_window_of_that_aspect(
        self, rows: int, columns: int, height: int, width: int
    ) -> None:
        coordinates = np.stack(np.mgrid[0:rows, 0:columns], axis=2)
        window = coordinates[center_slices(coordinates.shape, height, width)]
        kept_rows, kept_columns = window.shape[:2]
        assert kept_rows == rows or kept_columns == columns
        # The other side is the exact one, rounded down, and at least one pixel.
        if kept_columns < columns or kept_rows == rows:
            assert kept_columns == max(1, min(columns, rows * width // height))
        else:
            assert kept_rows == max(1, columns * height // width)
        top, left = window[0, 0]
        assert 0 <= (rows - kept_rows) - 2 * top <= 1
        assert 0 <= (columns - kept_columns) - 2 * left <= 1
        assert np.shares_memory(window, coordinates)


class TestPreprocessor:
    @given(
        st.sampled_from(["float32", "int8", "uint8"]), st.sampled_from(["rgb", "bgr", "gray"]), st.booleans(),
        st.integers(1, 60), st.integers(1, 60), scales, st.integers(0, 255),
    )  # fmt: skip
    def test_fill_is_the_table_applied_to_the_resized_frame(
        self, dtype: str, color: str, per_channel: bool, rows: int, columns: int, scale: float, zero: int
    ) -> None:
        channels = 1 if color == "gray" else 3
        mean, std = ((100.0, 120.0, 130.0), (50.0, 60.0, 70.0)) if per_channel and channels == 3 else ((90.0,), (64.0,))
        contract = InputContract(8, 8, color=color, mean=mean, std=std)  # type: ignore[arg-type]
        tensor_spec = (
            spec(dtype, channels)
            if dtype == "float32"
            else spec(dtype, channels, scale, zero + int(np.iinfo(dtype).min))
        )
        assert_fill_follows_the_table(contract, tensor_spec, frame(rows, columns))

    @pytest.mark.parametrize(("dtype", "zero"), [("int8", 0), ("uint8", 128)])
    @pytest.mark.parametrize("color", ["rgb", "gray"])
    def test_the_shortcuts_of_our_models_fill_the_same_as_the_table(self, dtype: str, zero: int, color: str) -> None:
        contract = InputContract(8, 8, color=color)  # type: ignore[arg-type]
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
        tensor_spec = spec(dtype, contract.channels, OUR_SCALE, zero)
        assert_fill_follows_the_table(contract, tensor_spec, np.stack([ramp, ramp.T, ramp[::-1]], axis=2))

    @pytest.mark.parametrize(("dtype", "zero"), [("int8", 0), ("uint8", 128)])
    def test_the_shortcuts_are_not_taken_when_only_one_channel_allows_them(self, dtype: str, zero: int) -> None:
        contract = InputContract(8, 8, mean=(128.0, 100.0, 100.0), std=(127.5,))
        assert_fill_follows_the_table(contract, spec(dtype, 3, OUR_SCALE, zero), frame(40, 50))

    def test_every_pixel_value_goes_through_the_shortcut(self) -> None:
        contract = InputContract(16, 16, color="gray")
        tensor = np.zeros((1, 16, 16, 1), np.int8)
        ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
        Preprocessor(contract, spec("int8", 1, OUR_SCALE, 0, side=16)).fill(ramp, tensor, color="gray")
        assert tensor.ravel().tolist() == list(range(-128, 128))

    def test_a_stream_of_frames_of_changing_size_leaves_nothing_behind(self) -> None:
        contract = InputContract(8, 8)
        preprocessor = Preprocessor(contract, spec("float32"))
        tensor = np.zeros((1, 8, 8, 3), np.float32)
        table = pixel_table(contract, spec("float32"))[:, 0]
        for seed in range(40):
            picture = frame(8 + seed * 3, 100 - seed * 2, seed=seed)
            preprocessor.fill(picture, tensor, color="bgr")
            assert (tensor[0] == table[resize_frame(picture, contract, color="bgr")]).all()

    def test_the_frame_is_never_changed_even_when_nothing_has_to_be_resized(self) -> None:
        picture = frame(8, 8)
        before = picture.copy()
        Preprocessor(OURS, spec("int8", 3, OUR_SCALE, 0)).fill(picture, np.zeros((1, 8, 8, 3), np.int8), color="rgb")
        assert (picture == before).all()


def test_a_resizer_keeps_its_buffers() -> None:
    resizer = Resizer(InputContract(8, 8))
    first = resizer(frame(20, 20, seed=1), color="bgr")
    second = resizer(frame(20, 20, seed=2), color="bgr")
    assert np.shares_memory(first, second)


def assert_fill_follows_the_table(contract: InputContract, tensor_spec: TensorSpec, picture: np.ndarray) -> None:
    tensor = np.zeros(tensor_spec.shape, tensor_spec.dtype)
    Preprocessor(contract, tensor_spec).fill(picture, tensor, color="bgr")
    pixels = resize_frame(picture, contract, color="bgr")
    table = pixel_table(contract, tensor_spec)
    expected = np.stack([table[pixels[:, :, c], c] for c in range(contract.channels)], axis=2)
    assert tensor[0].dtype == expected.dtype
    assert (tensor[0] == expected).all()
