"""A sign that says what is at the door: python door_sign.py MODEL.tflite SOURCE LABEL=TEXT …

For example: python door_sign.py pets.tflite 0 cat="The flap is open" dog="Please ring"
"""

from __future__ import annotations

import sys
from contextlib import suppress

from edge_runtime import Classifier, DecisionRules, live, open_source

WIDTH = 40
CLEAR = "\033[2J\033[H" if sys.stdout.isatty() else ""


def show(text: str) -> None:
    print(f"{CLEAR}┌{'─' * WIDTH}┐\n│{text[:WIDTH]:^{WIDTH}}│\n└{'─' * WIDTH}┘", flush=True)


model, source, *pairs = sys.argv[1:]
if not all("=" in pair for pair in pairs):
    sys.exit(__doc__)
texts = dict(pair.split("=", 1) for pair in pairs)
with suppress(KeyboardInterrupt), Classifier(model) as classifier:
    show("Welcome")
    for result in live(classifier, open_source(source), decision=DecisionRules(allow=tuple(texts))):
        if result.decision.events:
            show(texts.get(result.decision.label, "Welcome"))
