"""Where pretrained weights come from: the Keras cache folders, then the download that Keras itself would make.

tf_keras ignores KERAS_HOME for downloads, so the cache is resolved here: ``$KERAS_HOME/models``, then
``~/.keras/models``, under the official file names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from trainer.errors import WeightsError
from trainer.training.networks.backbones import Backbone

_TIMEOUT_S = 10.0
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def resolve_weights(
    backbone: Backbone, weights: str, input_size: int = 0, *, log: Callable[[str], None] | None = None
) -> Path | None:
    """Finds the weights that a recipe asks for.

    Args:
        backbone: Whose weights.
        weights: ``"imagenet"``: from the cache or else downloaded, an error when they can't be had; ``"auto"``: the
            same, but without them training starts from scratch; ``"none"``: from scratch; otherwise a file.
        input_size: Height and width in pixels; 0: the backbone's own.
        log: Takes the line that says why ``"auto"`` starts from scratch; None: stderr.

    Returns:
        The file, or None to start from scratch.

    Raises:
        WeightsError: They can't be had.
    """
    if weights == "none":
        return None
    if weights in ("imagenet", "auto"):
        try:
            return _imagenet_weights(backbone, input_size or backbone.input_size)
        except _MissingWeightsError as missing:
            if weights == "imagenet":
                raise WeightsError(f"{missing.reason}. {missing.way_out}") from missing.__cause__
            (log or _to_stderr)(f"{missing.reason}: training from scratch.")
            return None
    file = Path(weights).expanduser()
    if not file.is_file():
        raise WeightsError(f"Expected imagenet, auto, none or a weights file, got {weights!r}, which is no file.")
    return file


class _MissingWeightsError(Exception):
    """Why the ImageNet weights can't be had, and what to do about it."""

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(reason)
        self.reason, self.way_out = reason, way_out


def _imagenet_weights(backbone: Backbone, input_size: int) -> Path:
    name = backbone.weights_name(input_size)
    if not name:
        raise _MissingWeightsError(f"There are no ImageNet weights for {backbone.name}", "Set model.weights to none.")
    folders = _cache_folders()
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    missing = f"The ImageNet weights of {backbone.name} are not in {' or '.join(map(str, folders))}"
    if not backbone.weights_url:
        raise _MissingWeightsError(
            f"{missing} and have no public download", f"Put {name} there, or set model.weights to none or auto."
        )
    url = f"{backbone.weights_url}/{name}"
    try:
        return _download(url, folders[-1] / name)
    except (OSError, ValueError) as error:
        raise _MissingWeightsError(
            f"{missing} and can't be downloaded ({error})",
            f"Fetch {url} on another machine and put it there, or set model.weights to none or auto.",
        ) from error


def _cache_folders() -> list[Path]:
    folders = [Path.home() / ".keras" / "models"]
    if os.environ.get("KERAS_HOME"):
        folders.insert(0, Path(os.environ["KERAS_HOME"]).expanduser() / "models")
    return folders


def _download(url: str, target: Path) -> Path:
    """Downloads whole or not at all: into a file beside the target, renamed when it is complete."""
    from urllib.request import urlopen

    with urlopen(url, timeout=_TIMEOUT_S) as response:  # nosec B310 # an https address from the table, never the user's
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                _copy(response, file, int(response.headers.get("Content-Length") or 0), target.name)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return target


def _copy(response: BinaryIO, file: BinaryIO, expected_bytes: int, name: str) -> None:
    from tqdm import tqdm

    received_bytes, start = 0, b""
    with tqdm(total=expected_bytes or None, unit="B", unit_scale=True, unit_divisor=1024, desc=name[:40]) as bar:
        while chunk := response.read(1 << 16):
            start = start or chunk[: len(_HDF5_SIGNATURE)]
            received_bytes += file.write(chunk)
            bar.update(len(chunk))
    if start != _HDF5_SIGNATURE or (expected_bytes and received_bytes != expected_bytes):
        raise OSError(f"got {received_bytes} of {expected_bytes} bytes, or no HDF5 file")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
