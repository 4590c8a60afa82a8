"""Limits of the separate process that runs an untrusted model."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from edge_runtime.errors import BackendError


@dataclass(frozen=True)
class IsolationLimits:
    """Limits of the separate process that runs an untrusted model.

    The process can never write files, start other processes or open connections.

    Attributes:
        memory_mib: Address space for weights, tensors and threads, in MiB, in addition to Python and the interpreter.
        load_s: Seconds until the model is loaded, including the start of Python and, once per machine, the self-test of
            the INT8 kernels.
        invoke_s: Seconds per inference.

    Raises:
        BackendError: A limit is not a number above 0.
    """

    memory_mib: float = 512.0
    load_s: float = 60.0
    invoke_s: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, (int, float)) and isfinite(value) and value > 0):
                raise BackendError(f"{name} must be a number greater than 0, got {value!r}.")
