"""Value types shared by the whole runtime. They import nothing of the package except its errors."""

from edge_runtime.types.contract import Activation, BackendInfo, Color, Crop, InputContract, Interpolation, TensorSpec
from edge_runtime.types.frames import Counters, Frame, LiveResult, Region
from edge_runtime.types.predictions import Category, Decision, Event, EventKind, Prediction

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
