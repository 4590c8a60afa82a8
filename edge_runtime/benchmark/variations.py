"""One model in several rows: each backend, kernels on and off, several numbers of threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edge_runtime.errors import ModelError
from edge_runtime.interpreter import Int8Kernels
from edge_runtime.model_file import read_model_file
from edge_runtime.setup import Setup


def variations(
    setup: Setup,
    *,
    backends: Sequence[str | None] = (None,),
    int8_kernels: Sequence[Int8Kernels] = ("auto",),
    num_threads: Sequence[int | None] = (None,),
) -> tuple[Setup, ...]:
    """All combinations that differ for this model: a float one has no INT8 kernels.

    Args:
        setup: The model; what the others vary is taken from them.
        backends: As for `Classifier`.
        int8_kernels: As for `Classifier`.
        num_threads: As for `Classifier`.
    """
    return tuple(
        replace(setup, backend=backend, int8_kernels=kernels, num_threads=threads)
        for backend in backends
        for kernels in (int8_kernels if len(int8_kernels) == 1 or _is_quantized(setup) else int8_kernels[:1])
        for threads in num_threads
    )


def _is_quantized(setup: Setup) -> bool:
    try:
        return read_model_file(
            setup.model, labels=setup.labels, contract=setup.contract, activation=setup.activation
        ).is_quantized
    except ModelError:
        return False  # it fails once, as a row
