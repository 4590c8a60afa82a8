"""The .tflite file: read, checked before an interpreter sees it, what it says of itself, and who signed it."""
