"""What the scripts of this folder share: a process that loads a model and takes turns on request.

``NAME.py MODEL`` says ``{"version": …}`` when it is ready. Each line on its stdin is then a file of frames, uint8
(N, H, W, 3) BGR, which are classified one by one, a line of JSON for the whole: the indices of their best classes, the
mean milliseconds a frame, and the mean of the processor's milliseconds, which tell whether more than one thread worked.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Classify = Callable[[Frame], int]


def serve(package: str, load: Callable[[str], Classify]) -> None:
    """Takes turns until stdin ends.

    Args:
        package: The distribution whose version is told.
        load: Makes, of a model's path, the function from a frame to the index of its best class.
    """
    # Only answers go to the pipe, whatever libraries print.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    classify = load(sys.argv[1])
    kept: dict[str, list[Frame]] = {}
    print(json.dumps({"version": f"{package} {version(package)}"}), file=answers)
    for line in sys.stdin:
        name = line.strip()
        if name not in kept:
            kept[name] = list(np.load(name))
        frames = kept[name]
        classify(frames[-1])  # finds the caches full of another network
        start, busy = perf_counter(), process_time()
        best = [classify(frame) for frame in frames]
        ms, cpu_ms = (perf_counter() - start) * 1e3, (process_time() - busy) * 1e3
        print(json.dumps({"best": best, "ms": ms / len(frames), "cpu_ms": cpu_ms / len(frames)}), file=answers)
