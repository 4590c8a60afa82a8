"""Protocol shared by the scripts of this folder: a process that loads a model and classifies on request.

``NAME.py MODEL`` prints ``{"version": …}`` when it is ready. Each line on stdin then names a file of frames, uint8
(N, H, W, 3) BGR. They are classified one by one, and the response is one line of JSON: the indices of the best classes,
the mean milliseconds per frame, and the mean CPU milliseconds per frame, which reveal additional threads.
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
    """Classify on request until stdin ends.

    Args:
        package: Distribution whose version is reported.
        load: Function that loads a model and returns a function from a frame to the index of its best class.
    """
    # Only responses go to the pipe; whatever libraries print goes to stderr.
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
        classify(frames[-1])  # not timed: the caches are full of another network
        start, busy = perf_counter(), process_time()
        best = [classify(frame) for frame in frames]
        ms, cpu_ms = (perf_counter() - start) * 1e3, (process_time() - busy) * 1e3
        print(json.dumps({"best": best, "ms": ms / len(frames), "cpu_ms": cpu_ms / len(frames)}), file=answers)
