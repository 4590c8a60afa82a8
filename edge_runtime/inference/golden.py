"""Golden samples: a check on the device that pixels and scores match those from where the model was exported.

A sample is a frame with the hash of its resized pixels, which must be equal, and the network's output, which may differ
by the rounding of another processor's kernels.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import ManifestError
from edge_runtime.inference.postprocess import to_scores
from edge_runtime.model.manifest import GoldenSample
from edge_runtime.pixels.decode import decode_picture
from edge_runtime.pixels.preprocess import resize_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge_runtime.inference.classifier import Classifier

SCORE_TOLERANCE = 0.25
"""Maximum difference of a score. Between XNNPACK's INT8 kernels and the default ones (MobileNetV2 0.35, 400 photos),
the median difference was 0.004; one picture in 25 differed by over 0.1, and none by over 0.22."""

_MAX_PIXELS = 16_000_000


@dataclass(frozen=True)
class SampleCheck:
    """Result of one golden sample.

    Attributes:
        pixels_equal: Whether the resized pixels are identical.
        score_difference: Largest difference of a score, 0–1.
        same_top: Whether the best class is the same, or was within the tolerance of the best when exported.
    """

    pixels_equal: bool
    score_difference: float
    same_top: bool

    @property
    def passed(self) -> bool:
        """Whether the pixels are identical and the scores within the tolerance."""
        return self.pixels_equal and self.same_top and self.score_difference <= SCORE_TOLERANCE


def verify_model(classifier: Classifier) -> tuple[SampleCheck, ...]:
    """Run the model's golden samples, and return one result per sample.

    Raises:
        ManifestError: The model has no golden samples, or damaged ones.
    """
    manifest = classifier.model.manifest
    if manifest is None or not manifest.golden:
        raise ManifestError(
            f"{classifier.model.path.name} has no golden samples; only models exported by edge-trainer have them. Try "
            "the model on your own pictures with `edge-runtime classify`."
        )
    return tuple(_check(classifier, sample) for sample in manifest.golden)


def make_sample(classifier: Classifier, frame: NDArray[np.uint8] | int) -> GoldenSample:
    """Record a golden sample.

    Args:
        classifier: Classifier of the model to export.
        frame: uint8 (H, W, 3) RGB, 0–255, or the seed for `draw_pattern`.
    """
    png, seed = "", 0
    if isinstance(frame, (int, np.integer)):
        seed = int(frame)
        frame = draw_pattern(seed)
    else:
        png = _encode_png(frame)
    output = classifier.raw_output(frame, color="rgb")
    # Seven digits are precise enough for float32 and keep the manifest small.
    values = output.tolist() if output.dtype != np.float32 else [float(f"{value:.7g}") for value in output.tolist()]
    return GoldenSample(_pixels_sha256(classifier, frame), tuple(values), png, seed)


def draw_pattern(seed: int) -> NDArray[np.uint8]:
    """Draw a camera-sized test pattern, identical on every machine because it uses integers only.

    Returns:
        uint8 (480, 640, 3) RGB, 0–255: colored ramps, rings and fine stripes.
    """
    y, x = np.mgrid[0:480, 0:640].astype(np.int64)
    cx, cy = 120 + (seed * 97) % 400, 90 + (seed * 61) % 300
    rings = ((x - cx) ** 2 + (y - cy) ** 2) >> 9
    stripes = ((x * (3 + seed % 5) + y * (2 + seed % 7)) >> 3) & 1
    red = (x * 2 + rings * 5 + seed * 31) & 255
    green = (y * 2 + x + stripes * 64) & 255
    blue = (rings * 9 + (x & y)) & 255
    frame: NDArray[np.uint8] = np.stack([red, green, blue], axis=2).astype(np.uint8)
    return frame


def _check(classifier: Classifier, sample: GoldenSample) -> SampleCheck:
    frame = _decode_png(sample.png) if sample.png else draw_pattern(sample.pattern_seed)
    model = classifier.model
    if len(sample.output) != len(model.labels):
        raise ManifestError(
            f"Expected {len(model.labels)} outputs in a golden sample, got {len(sample.output)} in {model.path.name}. "
            "Export the model again."
        )
    expected = to_scores(np.asarray(sample.output), model.output_tensor, model.activation)
    scores = classifier.scores(frame, color="rgb")
    difference = float(np.abs(scores - expected).max())
    # The best class counts as the same if its expected score is within the tolerance of the best expected one.
    same_top = bool(expected.max() - expected[int(scores.argmax())] <= SCORE_TOLERANCE)
    return SampleCheck(_pixels_sha256(classifier, frame) == sample.pixels_sha256, difference, same_top)


def _pixels_sha256(classifier: Classifier, frame: NDArray[np.uint8]) -> str:
    pixels = resize_frame(frame, classifier.contract, color="rgb")
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _encode_png(frame: NDArray[np.uint8]) -> str:
    import cv2

    done, encoded = cv2.imencode(".png", frame[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert done  # a uint8 RGB array can always be encoded
    return base64.b64encode(encoded.tobytes()).decode("ascii")


def _decode_png(text: str) -> NDArray[np.uint8]:
    try:
        return decode_picture(base64.b64decode(text), max_pixels=_MAX_PIXELS)[:, :, ::-1]
    except ValueError:  # not base64, or not a picture
        raise ManifestError(
            f"A golden sample is not a PNG of at most {_MAX_PIXELS:,} pixels. Export the model again."
        ) from None


def all_passed(checks: Iterable[SampleCheck]) -> bool:
    """Return whether every golden sample passed."""
    return all(check.passed for check in checks)
