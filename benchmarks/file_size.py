"""The INT8 file's size against the FP32 file's, both complete: labels, metadata, manifest and golden samples."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.models import LABELS, build_pair


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        pair = build_pair(Path(folder), "mobilenet_v2_0.35")
        fp32_bytes, int8_bytes = pair.fp32.stat().st_size, pair.int8.stat().st_size
    return [
        Figure(
            name="file_size.int8",
            what="Size of the INT8 file, against the FP32 file",
            value=100 * int8_bytes / fp32_bytes,
            unit="%",
            at_most=30.0,
            conditions=f"{int8_bytes:,} against {fp32_bytes:,} bytes, MobileNetV2 0.35, 224 px, {len(LABELS)} classes",
        )
    ]
