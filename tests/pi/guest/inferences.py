"""Runs on the emulated processor: one inference, then three, each time between marks that ``instructions.c`` sees."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict

import numpy as np

from edge_runtime import Classifier

RUNS = (1, 3)


def main(model: str, int8_kernels: str) -> None:
    # One thread: with several, the instructions of waiting for one another would count, and differ each time.
    with Classifier(model, num_threads=1, int8_kernels=int8_kernels) as classifier:  # type: ignore[arg-type]
        # The first one sets up what the others find; and the input is no longer what was left in memory.
        classifier.classify(np.full((480, 640, 3), 128, np.uint8))
        for runs in RUNS:
            os.getppid()
            for _ in range(runs):
                classifier.invoke()
        os.getppid()
        print(json.dumps(asdict(classifier.backend)))


if __name__ == "__main__":
    main(*sys.argv[1:])
