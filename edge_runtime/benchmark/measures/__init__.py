"""Measurements other than latency: accuracy, cold start, energy, source frame rate, sustained speed, threads."""
