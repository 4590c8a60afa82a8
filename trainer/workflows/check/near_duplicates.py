"""Finds pictures that differ only in size, compression, brightness or a few pixels.

Candidates are pairs whose 64-bit dHashes differ in few bits. Their gray thumbnails are then compared by detail only:
neither hashes nor whole thumbnails distinguish shirts on the same bed, since both show mostly the bed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from trainer.data.photo_quality import Measures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BITS = 12  # of 64 in which candidates may differ
_DETAIL = 3.0  # sigma in thumbnail pixels; slower changes don't count
_SIMILARITY = 0.9  # correlation; other objects in the same place reach 0.88, re-encoded copies 0.95
_MIN_DETAIL = 1.0  # gray levels; less is too flat to compare
_BLOCK = 1 << 24  # pairs per batch, 64 MiB


def near_duplicates(measures: Sequence[Measures]) -> list[tuple[int, int, float]]:
    """Find pairs of pictures that look the same.

    All pairs are compared, as matrix products: a second or two for 10,000 pictures.

    Args:
        measures: Measures of each picture.

    Returns:
        Two indices and the similarity (correlation, up to 1) of each pair, the most similar first.
    """
    import numpy as np

    if len(measures) < 2:
        return []
    words = np.array([measure.dhash for measure in measures], np.uint64)
    bits = np.unpackbits(words.view(np.uint8).reshape(-1, 8), axis=1).astype(np.float32) * 2 - 1
    details = _details(measures)
    found: list[tuple[int, int, float]] = []
    step = max(1, _BLOCK // len(bits))
    for start in range(0, len(bits), step):
        # The product of two rows of ±1 is 64 minus twice the number of differing bits.
        close = bits[start : start + step] @ bits[start:].T >= 64 - 2 * _BITS
        rows, columns = np.nonzero(np.triu(close, 1))
        one, other = rows + start, columns + start
        for at in range(0, len(one), 1 << 16):
            a, b = one[at : at + (1 << 16)], other[at : at + (1 << 16)]
            similarity = np.einsum("ij,ij->i", details[a], details[b])
            same = similarity >= _SIMILARITY
            found += zip(a[same].tolist(), b[same].tolist(), similarity[same].tolist(), strict=True)
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def grouped(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Join pairs that share a picture into sorted groups, ordered by their first index."""
    parent: dict[int, int] = {}

    def root(key: int) -> int:
        while parent.setdefault(key, key) != key:
            parent[key] = key = parent[parent[key]]
        return key

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    groups: dict[int, list[int]] = defaultdict(list)
    for key in sorted(parent):
        groups[root(key)].append(key)
    return list(groups.values())


def _details(measures: Sequence[Measures]) -> NDArray[np.float32]:
    """Return a unit-length row for each picture, so that products are correlations; zeros if it is flat."""
    import cv2
    import numpy as np

    rows = np.empty((len(measures), measures[0].thumb.size), np.float32)
    for row, measure in zip(rows, measures, strict=True):
        thumb = measure.thumb.astype(np.float32)
        row[:] = (thumb - cv2.GaussianBlur(thumb, (0, 0), _DETAIL)).ravel()
    rows -= rows.mean(axis=1, keepdims=True)
    spread = rows.std(axis=1, keepdims=True)
    rows /= np.maximum(spread, 1e-6) * np.sqrt(rows.shape[1])
    rows[spread[:, 0] < _MIN_DETAIL] = 0
    return rows
