"""Lights an LED on GPIO 17 while a class is in view: python gpio_led.py MODEL.tflite LABEL [SOURCE].

Needs gpiozero (pip install gpiozero lgpio). Without pins at hand, try it with GPIOZERO_PIN_FACTORY=mock.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from gpiozero import LED

from edge_runtime import Classifier, DecisionRules, live, open_source

model, label, source = [*sys.argv[1:], "0"][:3]
with suppress(KeyboardInterrupt), Classifier(model) as classifier, LED(17) as led:
    for result in live(classifier, open_source(source), decision=DecisionRules(allow=(label,))):
        led.value = result.decision.label == label
        if result.decision.events:
            print("LED on" if led.is_lit else "LED off")
