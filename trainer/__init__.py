"""Turns a folder of photos into a compact, full-INT8 TensorFlow Lite model and its FP32 baseline."""

import os as _os

# TensorFlow Model Optimization works with Keras 2 only; TensorFlow reads this when it is first imported.
_os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
_os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
