"""Counts how often each class came into view: python counter.py MODEL.tflite [SOURCE]. Ctrl-C ends it."""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import suppress

from edge_runtime import Classifier, DecisionRules, live, open_source

model, source = [*sys.argv[1:], "0"][:2]
counts: Counter[str] = Counter()
with suppress(KeyboardInterrupt), Classifier(model) as classifier:
    for result in live(classifier, open_source(source), decision=DecisionRules()):
        entered = [event.label for event in result.decision.events if event.kind == "entered"]
        counts.update(entered)
        if entered:
            print(", ".join(f"{label} {count}" for label, count in counts.most_common()))
