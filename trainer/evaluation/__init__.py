"""Measure model files through the runtime and apply the accuracy gate."""
