"""Opens the models of stdin as the runtime would, and says on stdout what became of each.

A line holds the number of its classes and its path. It is a process of its own: what a damaged model does to it, it
does to nobody else.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import numpy as np

from edge_runtime import Classifier
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.model_file import input_size
from edge_runtime.types import InputContract


def answer(path: str, classes: int) -> str:
    """``"ran"`` or ``"refused"``; what isn't one of our errors is let through."""
    try:
        height, width = input_size(path)
        contract = InputContract(height, width, mean=(127.5,), std=(127.5,))
        labels = [str(number) for number in range(classes)]
        with Classifier(path, labels=labels, contract=contract, num_threads=1) as classifier:
            for _ in range(2):
                classifier.classify(np.zeros((64, 64, 3), np.uint8))
    except EdgeRuntimeError:
        return "refused"
    return "ran"


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # the interpreter's own lines
    for line in sys.stdin:
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        try:
            classes, path = line.strip().split(" ", 1)
            became = answer(path, int(classes))
        except Exception as error:
            became = f"{type(error).__name__}: {error}"
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(json.dumps([became, time.perf_counter() - started, grown / 1024]), flush=True)


if __name__ == "__main__":
    main()
