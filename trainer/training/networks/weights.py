"""Finds pretrained weights in Keras' cache folders, or downloads them as Keras would.

tf_keras ignores ``KERAS_HOME`` for downloads, so the cache is resolved here: ``$KERAS_HOME/models``, then
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
    """Find the weights for a recipe's ``model.weights``.

    Args:
        backbone: Backbone that the weights are for.
        weights: ``"imagenet"``: from the cache or a download, an error if neither works; ``"auto"``: the same, but
            training from scratch instead of an error; ``"none"``: from scratch; otherwise the path of a file.
        input_size: Height and width in pixels; 0: the backbone's default.
        log: Called with the reason if ``"auto"`` trains from scratch; None: print it on stderr.

    Returns:
        The weights file, or None to train from scratch.

    Raises:
        WeightsError: The weights are not available.
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
        raise WeightsError(f"Weights file {weights!r} not found. Set model.weights to a file, imagenet, auto or none.")
    return file


class _MissingWeightsError(Exception):
    """Reason why the ImageNet weights are not available, and what to do about it."""

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
            f"{missing} and have no public download", f"Copy {name} there, or set model.weights to none or auto."
        )
    url = f"{backbone.weights_url}/{name}"
    try:
        return _download(url, folders[-1] / name)
    except (OSError, ValueError) as error:
        raise _MissingWeightsError(
            f"{missing} and cannot be downloaded ({error})",
            f"Download {url} on another machine and copy it there, or set model.weights to none or auto.",
        ) from error


def _cache_folders() -> list[Path]:
    folders = [Path.home() / ".keras" / "models"]
    if os.environ.get("KERAS_HOME"):
        folders.insert(0, Path(os.environ["KERAS_HOME"]).expanduser() / "models")
    return folders


def _download(url: str, target: Path) -> Path:
    """Download to a temporary file next to the target and rename it when it is complete."""
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
        raise OSError(f"received {received_bytes} of {expected_bytes} bytes, or not an HDF5 file")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
