"""Saves frames as training pictures."""
