"""Quantize or compress a network that was trained elsewhere."""
