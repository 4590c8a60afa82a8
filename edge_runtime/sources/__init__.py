"""Where frames come from: cameras, streams, files, folders, recordings, and a drawn scene that may fail on purpose."""

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
    """Opens a source of frames by its name.

    Args:
        spec: ``0``, ``"1"``, ``"/dev/video0"`` or a name under ``/dev/v4l/by-id``, which stays the same: a USB camera;
            ``"csi"``: the Raspberry Pi camera module; ``"rtsp://…"``, ``"http://…"``: a stream; ``"… ! appsink"``: a
            GStreamer pipeline; ``"synthetic"``: a drawn scene that never ends; ``"faulty"``, ``"faulty:…"``: the same
            as a camera that fails on a schedule (`edge_runtime.sources.faulty`); else the path of a video, of a
            picture, of a folder of pictures, or of what ``edge-runtime record`` made.
        pace: ``"fast"`` gives every frame as soon as it is asked for, ``"realtime"`` gives them by the clock.
            Cameras and streams have their own clock.
        loop: Start a file or folder again at its end.
        size: (height, width) to ask a camera for, or to draw the scene in.
        fps: Frames per second to ask a camera for, or of the clock for ``"realtime"``.

    Returns:
        An open source. Close it, or use it in a ``with`` statement; `edge_runtime.live` closes it for you.

    Raises:
        SourceError: There is nothing to be read there.
        CameraError: The camera is missing, busy or forbidden.
    """
    # Each kind is imported when it is asked for: a camera on a Pi shouldn't wait for code that it doesn't run.
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
        raise SourceError(f"A size can be chosen for a camera or the synthetic source, not for {name}: leave it out.")
    if " ! " in name:
        from edge_runtime.sources.gstreamer import PipelineSource

        return PipelineSource(name)
    if name.startswith(("rtsp://", "rtsps://", "http://", "https://")):
        from edge_runtime.sources.network import StreamSource

        return StreamSource(name)
    return _open_path(name, pace=pace, loop=loop, fps=fps)


def _open_path(path: str, *, pace: Pace, loop: bool, fps: float | None) -> Source:
    from edge_runtime.sources.folder import PICTURE_SUFFIXES, FolderSource

    place = Path(path)
    if not place.exists():
        raise SourceError(
            f"Expected a camera number, a stream, 'csi', 'synthetic', 'faulty', or a path that exists, got {path!r}. "
            "Check the spelling."
        )
    if place.is_dir():
        from edge_runtime.sources.recording import RecordingSource, is_recording

        if is_recording(place):
            return RecordingSource(path, pace=pace, loop=loop, fps=fps)
    if place.is_dir() or place.suffix.lower() in PICTURE_SUFFIXES:
        return FolderSource(path, pace=pace, loop=loop, fps=fps)
    from edge_runtime.sources.video import VideoSource

    return VideoSource(path, pace=pace, loop=loop, fps=fps)
