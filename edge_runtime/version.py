"""The version of this distribution; its one place."""

__version__ = "0.1.0"
