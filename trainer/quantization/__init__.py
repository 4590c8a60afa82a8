"""From a trained network to TensorFlow Lite files: calibration, conversion and the quantization ladder."""
