"""Hostile inputs by the thousand: ``python -m tests.fuzz.models --count 100000``."""
