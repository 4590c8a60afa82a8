"""A sensor for Home Assistant: python mqtt_sensor.py MODEL.tflite mqtt://user:password@host/topic [SOURCE].

Needs paho-mqtt (pip install 'edge-image-sdk[mqtt]'). The broker may be away for a while, at the start too.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from edge_runtime import Classifier, DecisionRules, live, open_source
from edge_runtime.sinks import Mqtt

model, broker, source = [*sys.argv[1:], "0"][:3]
with suppress(KeyboardInterrupt), Classifier(model) as classifier, Mqtt(broker) as sensor:
    for result in live(classifier, open_source(source), decision=DecisionRules()):
        sensor.write(result)
