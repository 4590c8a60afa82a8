"""Hostile inputs by the thousand: ``python -m tests.hostile.fuzz.models --count 100000``."""
