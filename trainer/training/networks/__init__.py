"""Backbones, their weights, and the input contract that follows from a recipe."""
