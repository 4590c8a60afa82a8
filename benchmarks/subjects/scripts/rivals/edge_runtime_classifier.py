"""``edge_runtime``, as in README: edge_runtime_classifier.py MODEL BACKEND."""

import sys

from worker import Classify, serve

from edge_runtime import Classifier


def load(model: str) -> Classify:
    classifier = Classifier(model, backend=sys.argv[2], num_threads=1)
    return lambda frame: classifier.classify(frame, top_k=1).categories[0].index


serve({"tflite_runtime": "tflite-runtime", "ai_edge_litert": "ai-edge-litert"}[sys.argv[2]], load)
