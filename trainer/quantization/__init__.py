"""From a trained network to TensorFlow Lite files: calibration, quantization, export, proof."""
