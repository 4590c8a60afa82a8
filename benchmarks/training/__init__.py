"""Measurements of `trainer`: accuracy, size and training time."""
