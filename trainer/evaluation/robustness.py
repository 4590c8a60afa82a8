"""How a model fares on pictures that are worse than those it learned from: blurred, noisy, dark, compressed, turned.

In the spirit of Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019: fixed kinds of corruption, each in several severities, which training need not know.
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
    """Measures model files on the same corrupted copies of some pictures, through the runtime.

    Args:
        models: ``.tflite`` files by any name.
        pixels: Pictures at the size of the networks' input.
        photos: How many of them at most, drawn with the seed.
        seed: Of the draw and of the corruptions.

    Returns:
        By name: the pictures as they are, then each kind by rising severity.
    """
    from contextlib import ExitStack

    from edge_runtime import Classifier

    chosen = np.sort(np.random.default_rng(seed).permutation(len(pixels))[:photos])
    images, labels = pixels.images[chosen], pixels.labels[chosen]
    measured: dict[str, list[Robustness]] = {name: [] for name in models}
    with ExitStack() as opened:
        # Any number of threads gives the same answers.
        classifiers = {n: opened.enter_context(Classifier(path, num_threads=1)) for n, path in models.items()}
        for kind, severity, amount in _all_corruptions():
            corrupted = [corrupt(image, kind, severity, seed=seed + n) for n, image in enumerate(images)]
            for name, classifier in classifiers.items():
                answers = [classifier.classify(image, color="rgb", top_k=1).categories[0].index for image in corrupted]
                accuracy = float(np.mean(answers == labels))
                measured[name].append(Robustness(kind, severity, amount, accuracy, len(labels)))
    return {name: tuple(found) for name, found in measured.items()}


def corrupt(image: NDArray[np.uint8], kind: str, severity: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """A corrupted copy of a picture.

    Args:
        image: uint8 (H, W, 3) RGB, 0–255.
        kind: As `Robustness.kind`.
        severity: 1 to 3; 0 for ``"none"``.
        seed: Of the noise and the side that it is turned to.
    """
    change, amounts, _ = _CORRUPTIONS[kind]
    corrupted: NDArray[np.uint8] = change(image, amounts[severity - (kind != "none")], np.random.default_rng(seed))
    return corrupted


def _all_corruptions() -> Iterator[tuple[str, int, str]]:
    """Kind, severity and amount of each, in order."""
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
    """Less light, and shot noise, whose variance is the light itself, as of a sensor that holds 1,000 electrons."""
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
    """To one side or the other; the corners are mirrored, so that no black ones tell it."""
    import cv2

    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees * rng.choice((-1, 1)), 1.0)
    return np.asarray(cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT_101), np.uint8)


# What does it, how much in each severity, and how that is said.
_Change = Callable[["NDArray[np.uint8]", float, np.random.Generator], "NDArray[np.uint8]"]
_CORRUPTIONS: dict[str, tuple[_Change, tuple[float, ...], str]] = {
    "none": (_keep, (0,), "as they are"),
    "blur": (_blur, (0.005, 0.01, 0.02), "σ {:.1%} of the side"),
    "noise": (_noise, (0.04, 0.08, 0.16), "σ {:.0%} of the range"),
    "darkness": (_darken, (0.5, 0.25, 0.1), "{:.0%} of the light"),
    "jpeg": (_jpeg, (30, 15, 7), "quality {:.0f}"),
    "rotation": (_rotate, (10, 20, 40), "{:.0f}°"),
}
