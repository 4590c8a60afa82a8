"""Measurements of `trainer`."""
