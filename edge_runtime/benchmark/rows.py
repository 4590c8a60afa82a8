"""Rows of a benchmark: one model with several backends, INT8 kernels on and off, several numbers of threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import ModelError
from edge_runtime.inference.interpreter import Int8Kernels
from edge_runtime.inference.options import ClassifierOptions
from edge_runtime.model.file import read_model_file

if TYPE_CHECKING:
    from edge_runtime.inference.classifier import Classifier


def variations(
    options: ClassifierOptions,
    *,
    backends: Sequence[str | None] = (None,),
    int8_kernels: Sequence[Int8Kernels] = ("auto",),
    num_threads: Sequence[int | None] = (None,),
) -> tuple[ClassifierOptions, ...]:
    """Return the options of one model in all combinations, without those that make no difference to a float model.

    Args:
        options: Model and the settings that all combinations share.
        backends: Backends to try; see `Classifier`.
        int8_kernels: Settings of the INT8 kernels to try; only the first one for a float model.
        num_threads: Numbers of threads to try; None is the default of `Classifier`.
    """
    return tuple(
        replace(options, backend=backend, int8_kernels=kernels, num_threads=threads)
        for backend in backends
        for kernels in (int8_kernels if len(int8_kernels) == 1 or _is_quantized(options) else int8_kernels[:1])
        for threads in num_threads
    )


def _is_quantized(options: ClassifierOptions) -> bool:
    try:
        return read_model_file(
            options.model, labels=options.labels, contract=options.contract, activation=options.activation
        ).is_quantized
    except ModelError:
        return False  # the benchmark reports the failure, once


def row_names(classifiers: Sequence[Classifier]) -> list[str]:
    """Return the file names, with the folder, backend, threads or kernels appended where names are equal."""
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
