"""The values that travel through the runtime. They import nothing else of ours but errors."""

from edge_runtime.types.answers import Category, Decision, Event, EventKind, Prediction
from edge_runtime.types.contract import Activation, BackendInfo, Color, Crop, InputContract, Interpolation, TensorSpec
from edge_runtime.types.frames import Counters, Frame, LiveResult, Region

__all__ = [
    "Activation",
    "BackendInfo",
    "Category",
    "Color",
    "Counters",
    "Crop",
    "Decision",
    "Event",
    "EventKind",
    "Frame",
    "InputContract",
    "Interpolation",
    "LiveResult",
    "Prediction",
    "Region",
    "TensorSpec",
]
