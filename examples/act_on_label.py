"""Runs your own code when a class comes into view: python act_on_label.py MODEL.tflite LABEL [SOURCE].

One frame is a guess; `DecisionRules` say when a class counts as in view.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from edge_runtime import Classifier, DecisionRules, Event, live, open_source
from edge_runtime.sinks import Callback


def appeared(event: Event) -> None:
    print(f"{event.label} appeared, {event.score:.0%} sure")  # switch a relay, send a message …


model, label, source = [*sys.argv[1:], "0"][:3]
act = Callback(appeared, kinds=["entered"])
with suppress(KeyboardInterrupt), Classifier(model) as classifier:
    for result in live(classifier, open_source(source), decision=DecisionRules(allow=(label,))):
        act.write(result)
