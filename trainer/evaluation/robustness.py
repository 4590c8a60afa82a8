"""Robustness of a model to corrupted pictures: blurred, noisy, dark, compressed, rotated.

In the spirit of Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019: fixed corruptions in several severities, independent of the augmentation in training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trainer.types import Robustness

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.types import Pixels


def measure_robustness(
    models: Mapping[str, Path], pixels: Pixels, *, photos: int, seed: int = 0
) -> dict[str, tuple[Robustness, ...]]:
    """Measure model files on the same corrupted pictures, through the runtime.

    Args:
        models: ``.tflite`` files by name.
        pixels: Pictures, resized to the networks' input.
        photos: Maximum number of pictures, drawn at random.
        seed: Random seed of the draw and of the corruptions.

    Returns:
        Results by model name: the unchanged pictures first, then each corruption by rising severity.
    """
    from contextlib import ExitStack

    from edge_runtime import Classifier

    chosen = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:photos])
    images, labels = pixels.images[chosen], pixels.labels[chosen]
    measured: dict[str, list[Robustness]] = {name: [] for name in models}
    with ExitStack() as opened:
        # The number of threads does not change the predictions.
        classifiers = {n: opened.enter_context(Classifier(path, num_threads=1)) for n, path in models.items()}
        for kind, severity, amount in _all_corruptions():
            corrupted = [corrupt(image, kind, severity, seed=seed + n) for n, image in enumerate(images)]
            for name, classifier in classifiers.items():
                indices = [classifier.classify(image, color="rgb", top_k=1).categories[0].index for image in corrupted]
                accuracy = float(np.mean(indices == labels))
                measured[name].append(Robustness(kind, severity, amount, accuracy, len(labels)))
    return {name: tuple(found) for name, found in measured.items()}


def corrupt(image: NDArray[np.uint8], kind: str, severity: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return a corrupted copy of a picture, of the same shape and dtype.

    Args:
        image: uint8 (H, W, 3) RGB, 0–255.
        kind: Corruption, one of `Robustness.kind`.
        severity: 1 to 3; 0 for ``"none"``.
        seed: Random seed of the noise and of the direction of rotation.
    """
    change, amounts, _ = _CORRUPTIONS[kind]
    corrupted: NDArray[np.uint8] = change(image, amounts[severity - (kind != "none")], np.random.default_rng(seed))
    return corrupted


def _all_corruptions() -> Iterator[tuple[str, int, str]]:
    """Yield kind, severity and amount of each corruption, in order."""
    for kind, (_, amounts, said) in _CORRUPTIONS.items():
        for severity, amount in enumerate(amounts, kind != "none"):
            yield kind, severity, said.format(amount)


def _keep(image: NDArray[np.uint8], _: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return image


def _blur(image: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.GaussianBlur(image, (0, 0), share * image.shape[0]), np.uint8)


def _noise(image: NDArray[np.uint8], deviation: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return _as_pixels(image + 255 * deviation * rng.standard_normal(image.shape, np.float32))


def _darken(image: NDArray[np.uint8], light: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Dim the light and add shot noise, whose variance is the light itself, for a sensor that holds 1,000 electrons."""
    electrons = image * np.float32(light * 1000 / 255)
    electrons += np.sqrt(electrons) * rng.standard_normal(image.shape, np.float32)
    return _as_pixels(electrons * np.float32(255 / 1000))


def _as_pixels(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


def _jpeg(image: NDArray[np.uint8], quality: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    import cv2

    _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8)


def _rotate(image: NDArray[np.uint8], degrees: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rotate to either side, with mirrored corners, since black ones would give the rotation away."""
    import cv2

    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees * rng.choice((-1, 1)), 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


# Function, amount by severity, and a text for the amount.
_Change = Callable[["NDArray[np.uint8]", float, np.random.Generator], "NDArray[np.uint8]"]
_CORRUPTIONS: dict[str, tuple[_Change, tuple[float, ...], str]] = {
    "none": (_keep, (0,), "unchanged"),
    "blur": (_blur, (0.005, 0.01, 0.02), "σ {:.1%} of the height"),
    "noise": (_noise, (0.04, 0.08, 0.16), "σ {:.0%} of the range"),
    "darkness": (_darken, (0.5, 0.25, 0.1), "{:.0%} brightness"),
    "jpeg": (_jpeg, (30, 15, 7), "quality {:.0f}"),
    "rotation": (_rotate, (10, 20, 40), "{:.0f}°"),
}
