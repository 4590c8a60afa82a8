"""Chooses the representative dataset that full INT8 quantization measures activations with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.manifest import Calibration
from trainer.errors import DatasetError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.types import Pixels


def representative_set(
    pixels: Pixels, samples: int, seed: int, num_classes: int
) -> tuple[NDArray[np.uint8], Calibration]:
    """Takes the same number of pictures from each class, as far as there are so many.

    The first picture comes twice, the second time with one black and one white corner pixel: the input's range is
    then all of 0–255 whatever the photos hold, so that a stored int8 input is the pixel minus 128 exactly (with mean
    128 and std 127.5, scale 1/127.5 and zero point 0). Two pixels hardly move what the layers behind see; a drawn
    test picture would.

    Args:
        pixels: Of the training split, and of no other.
        samples: Pictures to take; all where there are fewer.
        seed: Of the choice.
        num_classes: Labels are 0 to this, exclusive.

    Returns:
        uint8 (N, height, width, 3) RGB, 0–255, in a fixed order, and how they were chosen.

    Raises:
        DatasetError: There are no pictures.
    """
    if len(pixels) == 0:
        raise DatasetError("Expected pictures in the training split to calibrate with, got none. Add photos.")
    chosen = stratified(pixels.labels, samples, seed, num_classes)
    images = np.concatenate([pixels.images[chosen], pixels.images[chosen[:1]]])
    images[-1, 0, 0], images[-1, 0, -1] = 0, 255
    record = Calibration(len(images), hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(), seed)
    return images, record


def stratified(labels: NDArray[np.int64], samples: int, seed: int, num_classes: int) -> NDArray[np.int64]:
    """Indices of ``samples`` pictures, taken from the classes in turn; each class shuffled."""
    rng = np.random.default_rng(seed)
    rank = np.empty(len(labels), np.int64)
    for label in range(num_classes):
        members = np.flatnonzero(labels == label)
        rank[rng.permutation(members)] = np.arange(len(members))
    order: NDArray[np.int64] = np.lexsort((labels, rank))
    return order[:samples]
