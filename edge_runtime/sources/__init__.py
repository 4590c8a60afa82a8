"""Frame sources: cameras, streams, videos, folders of pictures, recordings and generated scenes."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.errors import SourceError
from edge_runtime.sources.base import Pace, Source
from edge_runtime.types import Frame

__all__ = ["Frame", "Pace", "Source", "open_source"]


def open_source(
    spec: str | int | os.PathLike[str],
    *,
    pace: Pace = "fast",
    loop: bool = False,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
) -> Source:
    """Open a source of frames.

    Args:
        spec: One of

            * ``0``, ``"1"``, ``"/dev/video0"`` or a permanent name under ``/dev/v4l/by-id``: a USB camera
            * ``"csi"``: the Raspberry Pi camera module
            * ``"rtsp://…"``, ``"http://…"``: a stream; ``"… ! appsink"``: a GStreamer pipeline
            * ``"synthetic"``: an endless generated scene; ``"faulty"``, ``"faulty:…"``: the same as a camera that fails
              on a schedule (`edge_runtime.sources.faulty`)
            * the path of a video, a picture, a folder of pictures, or a recording by ``edge-runtime record``
        pace: ``"fast"`` for every frame as soon as it is read, ``"realtime"`` for the natural rate of a file. Cameras
            and streams always have their own rate.
        loop: If True, start a file or folder again at its end.
        size: (height, width) to request from a camera, or of the generated scene.
        fps: Frames per second to request from a camera, or to play a file at with ``"realtime"``.

    Returns:
        An open source. Close it, or use it in a ``with`` statement; `edge_runtime.live` closes it for you.

    Raises:
        SourceError: The source does not exist or cannot be read.
        CameraError: The camera is missing, busy or not permitted.
    """
    # Import only the requested source: on a Raspberry Pi every import delays the first frame.
    name = str(spec) if isinstance(spec, int) else os.fspath(spec)
    if name == "synthetic":
        from edge_runtime.sources.synthetic import SyntheticSource

        return SyntheticSource(pace=pace, size=size or (480, 640), fps=fps or 30.0)
    if name == "faulty" or name.startswith("faulty:"):
        from edge_runtime.sources.faulty import open_faulty
        from edge_runtime.sources.synthetic import SyntheticSource

        return open_faulty(name, SyntheticSource(pace="realtime", size=size or (480, 640), fps=fps or 30.0))
    if name == "csi":
        from edge_runtime.sources.csi import CsiSource

        return CsiSource(size=size, fps=fps)
    if name.isdecimal() or name.startswith("/dev/"):
        from edge_runtime.sources.camera import CameraSource

        return CameraSource(int(name) if name.isdecimal() else name, size=size, fps=fps)
    if size is not None:
        raise SourceError(f"Only cameras and synthetic scenes have a selectable size, not {name}. Omit the size.")
    if " ! " in name:
        from edge_runtime.sources.gstreamer import PipelineSource

        return PipelineSource(name)
    if name.startswith(("rtsp://", "rtsps://", "http://", "https://")):
        from edge_runtime.sources.network import StreamSource

        return StreamSource(name)
    return _open_path(name, pace=pace, loop=loop, fps=fps)


def _open_path(path: str, *, pace: Pace, loop: bool, fps: float | None) -> Source:
    from edge_runtime.sources.folder import FolderSource
    from edge_runtime.sources.pictures import PICTURE_SUFFIXES

    place = Path(path)
    if not place.exists():
        raise SourceError(
            f"The source {path!r} does not exist. Use a path, a camera number, a stream URL, 'csi', 'synthetic' or "
            "'faulty'."
        )
    if place.is_dir():
        from edge_runtime.sources.recording import RecordingSource, is_recording

        if is_recording(place):
            return RecordingSource(path, pace=pace, loop=loop, fps=fps)
    if place.is_dir() or place.suffix.lower() in PICTURE_SUFFIXES:
        return FolderSource(path, pace=pace, loop=loop, fps=fps)
    from edge_runtime.sources.video import VideoSource

    return VideoSource(path, pace=pace, loop=loop, fps=fps)
