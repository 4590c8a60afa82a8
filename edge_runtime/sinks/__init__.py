"""Where results go."""

from edge_runtime.sinks.base import Sink
from edge_runtime.sinks.json_lines import JsonLines

__all__ = ["JsonLines", "Sink"]
