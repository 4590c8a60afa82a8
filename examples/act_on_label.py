"""Runs your own code when a class comes into view: python act_on_label.py MODEL.tflite LABEL [SOURCE].

One frame is a guess. So the code runs when the class led five frames in a row with a score of at least 0.6, and not
again before it has been gone for five frames.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from edge_runtime import Classifier, live, open_source

FRAMES = 5
SCORE = 0.6


def appeared(label: str, seconds: float) -> None:
    print(f"{label} appeared at {seconds:.2f}")  # switch a relay, send a message, save the frame …


model, label, source = [*sys.argv[1:], "0"][:3]
with suppress(KeyboardInterrupt), Classifier(model) as classifier:
    if label not in classifier.labels:
        sys.exit(f"Expected one of {', '.join(classifier.labels)}, got {label}.")
    present, streak = False, 0  # streak: frames in a row that contradict `present`
    for result in live(classifier, open_source(source, pace="realtime"), score_threshold=SCORE):
        best = result.prediction.top
        seen = best is not None and best.label == label
        streak = streak + 1 if seen != present else 0
        if streak == FRAMES:
            present, streak = seen, 0
            if present:
                appeared(label, result.time)
