"""Says what a camera sees, until Ctrl-C: python live_camera.py MODEL.tflite [SOURCE].

SOURCE is a camera number, a video, a stream, a folder, or "synthetic" where there is no camera; default: camera 0.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from edge_runtime import Classifier, live, open_source

model, source = [*sys.argv[1:], "0"][:2]
with suppress(KeyboardInterrupt), Classifier(model) as classifier:
    for result in live(classifier, open_source(source, pace="realtime")):
        best = result.prediction.top
        if best:
            print(f"{best.label} {best.score:.0%}, {result.fps:.1f} frames a second, {result.age_ms:.0f} ms old")
