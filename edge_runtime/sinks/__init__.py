"""Sinks: files, programs, servers and folders that receive the live loop's results."""

from edge_runtime.sinks.background import Background
from edge_runtime.sinks.base import Sink
from edge_runtime.sinks.callback import Callback
from edge_runtime.sinks.command import Command
from edge_runtime.sinks.events import EventSink
from edge_runtime.sinks.json_lines import JsonLines
from edge_runtime.sinks.mqtt import Mqtt
from edge_runtime.sinks.pictures.saved_frames import SavedFrames, SaveRules
from edge_runtime.sinks.webhook import Webhook

__all__ = [
    "Background",
    "Callback",
    "Command",
    "EventSink",
    "JsonLines",
    "Mqtt",
    "SaveRules",
    "SavedFrames",
    "Sink",
    "Webhook",
]
