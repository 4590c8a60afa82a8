"""Model files: reading and checking a ``.tflite`` file, its metadata and manifest, and its signature."""
