"""What the rows of a report are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.classifier import Classifier


def row_names(classifiers: Sequence[Classifier]) -> list[str]:
    """File names; where one comes twice, with whatever tells the two apart."""
    paths = [Path(classifier.model.path) for classifier in classifiers]
    names = [path.name for path in paths]
    backends = [classifier.backend for classifier in classifiers]
    for details in (
        [f"in {path.parent.name}" for path in paths],
        [f"{backend.name} {backend.version}" for backend in backends],
        [f"threads {backend.num_threads}" for backend in backends],
        [f"INT8 kernels {backend.int8_kernels}" for backend in backends],
    ):
        groups: dict[str, set[str]] = {}
        for name, detail in zip(names, details, strict=True):
            groups.setdefault(name, set()).add(detail)
        names = [
            f"{name}, {detail}" if len(groups[name]) > 1 else name for name, detail in zip(names, details, strict=True)
        ]
    return names
