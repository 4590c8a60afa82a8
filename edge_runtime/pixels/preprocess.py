"""Preprocessing from frame to network input, the same in training, calibration, evaluation and on the device.

`resize_frame` resizes the pixels, and a float64 table of 256 entries per channel turns them into the input tensor
(`pixel_table`). ``interpolation="pyramid"`` halves the picture with exact 2×2 means while it is at least twice as large
as the target (Williams, "Pyramidal Parametrics", 1983), which avoids aliasing in large photos, and then resizes with
``INTER_LINEAR_EXACT``. All of it is integer arithmetic, so the bytes are the same on x86 and Arm and in every OpenCV
since 3.4. A picture of the target size is unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import FrameError
from edge_runtime.types import Color, InputContract, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def resize_frame(frame: NDArray[np.uint8], contract: InputContract, *, color: Color) -> NDArray[np.uint8]:
    """Crop and resize a frame and convert its color order, as the input contract specifies.

    Args:
        frame: uint8 (H, W, 3) in ``color`` order, or (H, W) or (H, W, 1) gray, 0–255.
        contract: Input contract of the model.
        color: Channel order of ``frame``; ignored for a gray frame.

    Returns:
        New uint8 array (height, width, 3) in the contract's channel order, or (height, width, 1) for gray, 0–255.

    Raises:
        FrameError: The frame or its color order is invalid.
    """
    return Resizer(contract)(frame, color=color).copy()


def pixel_table(contract: InputContract, tensor: TensorSpec) -> NDArray[np.generic]:
    """Return the input value of each pixel value: ``(pixel - mean) / std``, quantized if the tensor is.

    Quantized values are ``round_half_up((pixel - mean) / std / scale) + zero_point``, clipped to the range of the dtype
    (affine quantization, Jacob et al., 2018). They are computed in float64, as float32 would merge adjacent pixels.

    Returns:
        Table of shape (256, channels) in the tensor's dtype.
    """
    pixels = np.arange(256, dtype=np.float64)[:, None]
    mean = np.broadcast_to(np.asarray(contract.mean, np.float64), (contract.channels,))
    std = np.broadcast_to(np.asarray(contract.std, np.float64), (contract.channels,))
    real = (pixels - mean) / std
    if not tensor.is_quantized:
        return np.asarray(real, tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    # The float32 scale has a relative error of up to 2^-24, which is 1.5e-5 of a step after 256 steps. The offset of
    # 2e-5 makes exact halves round up in spite of it.
    stored = np.floor(real / tensor.scale + 0.5 + 2e-5) + tensor.zero_point
    return np.asarray(np.clip(stored, limits.min, limits.max), tensor.dtype)


class Resizer:
    """Crops and resizes frames into reused buffers, so that a stream of frames allocates no memory.

    The steps are planned once per frame shape and color order: after an inference has emptied the CPU caches, every
    line of Python is many times slower.
    """

    def __init__(self, contract: InputContract) -> None:
        import cv2

        self.contract = contract
        self._cv2 = cv2
        self._flag = {
            "pyramid": cv2.INTER_LINEAR_EXACT,
            "linear": cv2.INTER_LINEAR,
            "area": cv2.INTER_AREA,
            "nearest": cv2.INTER_NEAREST,
        }[contract.interpolation]
        self._kind: tuple[object, ...] = ()
        self._window: tuple[slice, slice] | None = None
        self._steps: list[_Step] = []
        self._code: int | None = None
        self._reordered: NDArray[np.uint8] | None = None

    def __call__(
        self, frame: NDArray[np.uint8], *, color: Color, out: NDArray[np.uint8] | None = None
    ) -> NDArray[np.uint8]:
        """Resize a frame into ``out`` and return it, or a buffer that is valid until the next call.

        Args:
            frame: uint8 (H, W, 3) in ``color`` order, or (H, W) or (H, W, 1) gray, 0–255.
            color: Channel order of ``frame``.
            out: Output array, uint8 (height, width, channels), C-contiguous. None uses an internal buffer.
        """
        if (getattr(frame, "shape", None), getattr(frame, "dtype", None), color) != self._kind:
            self._prepare(frame, color)
        cv2, code = self._cv2, self._code
        pixels = frame if self._window is None else frame[self._window]
        for used, size, buffer, flag in self._steps:
            if used is not None:
                pixels = pixels[used]
            pixels = cv2.resize(pixels, size, buffer, 0, 0, flag)
        if code is not None:
            pixels = cv2.cvtColor(pixels, code, self._reordered if out is None else out)
        if pixels is out:
            return pixels
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if out is None:
            return pixels
        out[...] = pixels
        return out

    def _prepare(self, frame: NDArray[np.uint8], color: Color) -> None:
        channels = _check_frame(frame, color)
        depth = (3,) if channels == 3 else ()
        height, width = self.contract.height, self.contract.width
        window = center_slices(frame.shape, height, width) if self.contract.crop == "center" else None
        rows, columns = (frame if window is None else frame[window]).shape[:2]
        steps: list[_Step] = []
        if self.contract.interpolation == "pyramid":
            while rows >= 2 * height and columns >= 2 * width:
                even = (slice(rows // 2 * 2), slice(columns // 2 * 2)) if rows % 2 or columns % 2 else None
                rows, columns = rows // 2, columns // 2
                steps.append((even, (columns, rows), np.empty((rows, columns, *depth), np.uint8), self._cv2.INTER_AREA))
        if (rows, columns) != (height, width):
            steps.append((None, (width, height), np.empty((height, width, *depth), np.uint8), self._flag))
        source, target = "gray" if channels == 1 else color, self.contract.color
        self._code = None if source == target else getattr(self._cv2, f"COLOR_{source.upper()}2{target.upper()}")
        self._reordered = np.empty((height, width) if target == "gray" else (height, width, 3), np.uint8)
        self._window, self._steps = window, steps
        self._kind = (frame.shape, frame.dtype, color)


# Rows and columns to use (None for all), OpenCV's (width, height), output buffer, OpenCV's interpolation flag.
_Step = tuple["tuple[slice, slice] | None", "tuple[int, int]", "NDArray[np.uint8]", int]


class Preprocessor:
    """Fills the network's input tensor from frames."""

    def __init__(self, contract: InputContract, tensor: TensorSpec) -> None:
        import cv2

        self._cv2 = cv2
        self._resizer = Resizer(contract)
        table = pixel_table(contract, tensor)
        shared = table.shape[1] == 1 or bool((table == table[:, :1]).all())
        pixels = np.arange(256)
        column = table[:, 0].astype(np.int64)
        self._identity = shared and tensor.dtype == "uint8" and np.array_equal(column, pixels)
        self._shift = shared and tensor.dtype == "int8" and np.array_equal(column, pixels - 128)
        self._table = np.ascontiguousarray(table[:, 0] if shared else table.reshape(1, 256, -1))

    def fill(self, frame: NDArray[np.uint8], tensor: NDArray[np.generic], *, color: Color) -> None:
        """Write one frame into the input tensor, in place.

        Args:
            frame: uint8 (H, W, 3) in ``color`` order, or (H, W) or (H, W, 1) gray, 0–255.
            tensor: Input tensor of shape (1, height, width, channels) in the model's dtype, C-contiguous.
            color: Channel order of ``frame``.
        """
        target = tensor[0]
        if self._identity:
            self._resizer(frame, color=color, out=target)  # type: ignore[arg-type]
        elif self._shift:  # pixel - 128 as int8 has the same bits as pixel ^ 0x80
            pixels = target.view(np.uint8)
            self._resizer(frame, color=color, out=pixels)
            np.bitwise_xor(pixels, _SIGN_BIT, out=pixels)
        else:
            filled = self._cv2.LUT(self._resizer(frame, color=color), self._table, dst=target)
            if filled is not target and filled.ctypes.data != target.ctypes.data:
                target[...] = filled.reshape(target.shape)


_SIGN_BIT = np.uint8(0x80)


def center_slices(shape: tuple[int, ...], height: int, width: int) -> tuple[slice, slice]:
    """Return rows and columns of the largest centered window with the aspect height:width in a frame of this shape."""
    rows, columns = shape[:2]
    if rows * width > columns * height:
        keep = max(1, columns * height // width)
        start = (rows - keep) // 2
        return slice(start, start + keep), slice(columns)
    keep = max(1, rows * width // height)
    start = (columns - keep) // 2
    return slice(rows), slice(start, start + keep)


def _check_frame(frame: NDArray[np.uint8], color: str) -> int:
    """Check a frame and return its number of channels."""
    if frame is None:
        raise FrameError("The frame is None. cv2.imread returns None if it cannot read a file: check its path.")
    shape = getattr(frame, "shape", None)
    if shape is None or frame.dtype != np.uint8:
        got = type(frame).__name__ if shape is None else f"dtype {frame.dtype}"
        raise FrameError(f"Expected a uint8 array with pixels 0–255, got {got}. Convert it with .astype('uint8').")
    if color not in ("bgr", "rgb", "gray"):
        raise FrameError(f"Unknown color order {color!r}. Use 'bgr', 'rgb' or 'gray'.")
    channels = 1 if len(shape) == 2 else shape[2] if len(shape) == 3 else 0
    if channels not in (1, 3) or min(shape[:2]) < 1:
        raise FrameError(
            f"Expected a frame of shape (height, width, 3) or (height, width), got {tuple(shape)}. "
            "Drop an alpha channel with frame[:, :, :3]."
        )
    if color == "gray" and channels == 3:
        raise FrameError("The frame has 3 channels, but color='gray' says it has one. Pass color='bgr' or 'rgb'.")
    return channels
