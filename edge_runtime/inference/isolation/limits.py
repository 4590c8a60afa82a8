"""What a model in a process of its own may take."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from edge_runtime.errors import BackendError


@dataclass(frozen=True)
class IsolationLimits:
    """What a model in a process of its own may take; it may write into no file and start nothing in any case.

    Attributes:
        memory_mib: Address space beyond that of Python and the interpreter, in MiB: weights, tensors, threads.
        load_s: From the start of the process to the loaded model. A small board takes seconds to import the
            interpreter, and the first model on a machine waits for the self-test of the INT8 kernels.
        invoke_s: For each inference.

    Raises:
        BackendError: One of them isn't above 0.
    """

    memory_mib: float = 512.0
    load_s: float = 60.0
    invoke_s: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (isinstance(value, (int, float)) and isfinite(value) and value > 0):
                raise BackendError(f"Expected {name} of the isolation to be a number above 0, got {value!r}.")
