"""Frames kept for the next training."""
