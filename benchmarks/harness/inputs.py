"""Inputs of the measurements: shared photos, models and video, drawn frames, and checks of prerequisites."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.figure import MissingInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SCRIPTS = ROOT / "benchmarks" / "subjects" / "scripts"
FRAME_SIZE = (480, 640)


def shared(path: str) -> Path:
    """Return a file or folder of ``../shared``.

    Raises:
        MissingInputError: It does not exist.
    """
    found = SHARED / path
    if not found.exists():
        raise MissingInputError(f"needs ../shared/{path}, which does not exist")
    return found


def need_package(module: str, name: str) -> None:
    """Raise `MissingInputError` if a module cannot be imported; ``name`` is what to install."""
    if find_spec(module) is None:
        raise MissingInputError(f"needs {name}")


def need_second_core(purpose: str) -> None:
    """Raise `MissingInputError` if this process may use only one core."""
    if len(os.sched_getaffinity(0)) < 2:
        raise MissingInputError(f"needs a second core for {purpose}")


def frames(count: int) -> list[NDArray[np.uint8]]:
    """Draw camera frames, each uint8 (480, 640, 3) BGR, 0–255."""
    from edge_runtime.sources.synthetic import SyntheticSource

    source = SyntheticSource(size=FRAME_SIZE)
    return [source.draw(15 * index) for index in range(count)]


def video(folder: Path) -> tuple[Path, str]:
    """Return a clip and its description: the shared clip, or one drawn into the folder."""
    found = SHARED / "data/video/bottle-detection.mp4"
    if found.exists():
        return found, "H.264 clip, 640×360"
    import cv2

    drawn = folder / "drawn.avi"
    height, width = FRAME_SIZE
    writer = cv2.VideoWriter(str(drawn), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (width, height))
    for frame in frames(60):
        writer.write(frame)
    writer.release()
    return drawn, "drawn Motion JPEG clip, 640×480"
