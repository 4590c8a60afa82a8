"""Opens models as the runtime would, and says what became of each; a line holds the number of classes and a path."""

from __future__ import annotations

import numpy as np

from edge_runtime import Classifier
from edge_runtime.errors import EdgeRuntimeError
from edge_runtime.model.file import input_size
from edge_runtime.types import InputContract
from tests.hostile.fuzz.worker import answer_lines


def answer(line: str) -> str:
    """``"ran"`` or ``"refused"``; what isn't one of our errors is let through."""
    classes, path = line.split(" ", 1)
    try:
        height, width = input_size(path)
        contract = InputContract(height, width, mean=(127.5,), std=(127.5,))
        labels = [str(number) for number in range(int(classes))]
        with Classifier(path, labels=labels, contract=contract, num_threads=1) as classifier:
            for _ in range(2):
                classifier.classify(np.zeros((64, 64, 3), np.uint8))
    except EdgeRuntimeError:
        return "refused"
    return "ran"


if __name__ == "__main__":
    answer_lines(answer)
