"""Measurements of `edge_runtime`."""
