"""What is measured with: the shared photos, models and video where they are, and drawn pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.figure import MissingInputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
FRAME_SIZE = (480, 640)


def shared(path: str) -> Path:
    """A file or folder of ``../shared``.

    Raises:
        MissingInputError: It isn't here.
    """
    found = SHARED / path
    if not found.exists():
        raise MissingInputError(f"needs ../shared/{path}, which isn't here")
    return found


def frames(count: int) -> list[NDArray[np.uint8]]:
    """Camera frames: uint8 (480, 640, 3) BGR, 0–255."""
    from edge_runtime.sources.synthetic import SyntheticSource

    source = SyntheticSource(size=FRAME_SIZE)
    return [source.draw(15 * index) for index in range(count)]


def video(folder: Path) -> tuple[Path, str]:
    """A clip and its description: the shared one, or one that is drawn into the folder."""
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
