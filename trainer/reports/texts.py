"""Formats of numbers and settings, and names of precisions and splits, in reports."""

from __future__ import annotations

import math
from typing import Any

KIND_NAMES = {
    "fp32": "FP32",
    "int8": "INT8",
    "mixed": "INT8 with float layers",
    "float16": "float16",
    "dynamic_range": "dynamic range",
    "int16": "INT8, 16-bit activations",
}
SPLIT_NAMES = {"train": "training", "val": "validation", "test": "test"}


def percent(share: float) -> str:
    """Return a share as percent with one decimal; 100.0% and 0.0% only if that is exact."""
    value = round(100 * share, 1)
    if value == 100 and share < 1:
        value = 99.9
    if value == 0 and share > 0:
        value = 0.1
    return f"{value:.1f}%"


def points(value: float) -> str:
    """Return percentage points with up to two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{text} point{'' if text == '1' else 's'}"


def signed_points(value: float) -> str:
    """Return points with a sign; never rounded to zero unless they are zero."""
    if not value:
        return "±0 points"
    return f"{'−' if value < 0 else '+'}{points(abs(value))}"


def interval_text(interval: tuple[float, float]) -> str:
    """Return an interval of two shares as percent, without the percent sign."""
    return f"{100 * interval[0]:.1f}–{100 * interval[1]:.1f}"


def photos_text(count: int, kind: str = "") -> str:
    """Return a number of photos, such as ``505 test photos``."""
    return f"{count:,} {kind}{' ' * bool(kind)}photo{'' if count == 1 else 's'}"


def number_text(value: float) -> str:
    """Return a number with three significant digits, and with all digits before the decimal point."""
    if not math.isfinite(value):
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.{1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3}f}"


def size_text(size_bytes: int) -> str:
    """Return a size in bytes, KiB (1024 bytes) or MiB."""
    if size_bytes < 1024:
        return f"{size_bytes} bytes"
    if size_bytes < 1024 * 1024:
        return f"{number_text(size_bytes / 1024)} KiB"
    return f"{number_text(size_bytes / 1024 / 1024)} MiB"


def duration_text(seconds: float) -> str:
    """Return a duration such as ``8.2 s``, ``1 min 15 s`` or ``1 h 1 min``."""
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def setting_text(value: Any) -> str:
    """Return a setting's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(setting_text(entry) for entry in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
