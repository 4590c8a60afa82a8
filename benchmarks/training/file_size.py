"""Size of the INT8 file against the FP32 file, both with labels, metadata, manifest and golden samples."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness.figure import Figure
from benchmarks.subjects.models import LABELS, build_pair

_BACKBONES = {"mobilenet_v2_0.35": "MobileNetV2 0.35", "mobilenet_v2_1.0": "MobileNetV2 1.0"}


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        return [_compare(Path(folder), backbone, name) for backbone, name in _BACKBONES.items()]


def _compare(folder: Path, backbone: str, name: str) -> Figure:
    pair = build_pair(folder, backbone)
    fp32_bytes, int8_bytes = pair.fp32.stat().st_size, pair.int8.stat().st_size
    return Figure(
        name=f"file_size.{backbone.rpartition('_')[2]}",
        what=f"Size of the INT8 file, against the FP32 file ({name})",
        value=100 * int8_bytes / fp32_bytes,
        unit="%",
        at_most=30.0,
        conditions=f"{int8_bytes:,} against {fp32_bytes:,} bytes, 224 px, {len(LABELS)} classes",
    )
