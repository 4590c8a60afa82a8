"""Image classification on small computers, from one self-describing TensorFlow Lite file.

    from edge_runtime import Classifier

    classifier = Classifier("model_int8.tflite")
    print(classifier.classify(frame).top)  # frame: uint8 (H, W, 3) BGR, as OpenCV delivers it

Importing this package is light: each name is loaded from its module on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.version import __version__

if TYPE_CHECKING:
    from edge_runtime.errors import BackendError as BackendError
    from edge_runtime.errors import CameraError as CameraError
    from edge_runtime.errors import EdgeRuntimeError as EdgeRuntimeError
    from edge_runtime.errors import FrameError as FrameError
    from edge_runtime.errors import ManifestError as ManifestError
    from edge_runtime.errors import ModelError as ModelError
    from edge_runtime.errors import OutputError as OutputError
    from edge_runtime.errors import ReportError as ReportError
    from edge_runtime.errors import RulesError as RulesError
    from edge_runtime.errors import ServerError as ServerError
    from edge_runtime.errors import SignatureError as SignatureError
    from edge_runtime.errors import SourceError as SourceError
    from edge_runtime.inference.classifier import Classifier as Classifier
    from edge_runtime.inference.golden import verify_model as verify_model
    from edge_runtime.inference.isolation.limits import IsolationLimits as IsolationLimits
    from edge_runtime.live_loop.capture import CaptureRules as CaptureRules
    from edge_runtime.live_loop.decision import DecisionRules as DecisionRules
    from edge_runtime.live_loop.frame_gate import GateRules as GateRules
    from edge_runtime.live_loop.loop import live as live
    from edge_runtime.model.file import ModelFile as ModelFile
    from edge_runtime.model.file import read_model_file as read_model_file
    from edge_runtime.model.manifest import Calibration as Calibration
    from edge_runtime.model.manifest import GoldenSample as GoldenSample
    from edge_runtime.model.manifest import Manifest as Manifest
    from edge_runtime.model.manifest import MeasuredAccuracy as MeasuredAccuracy
    from edge_runtime.model.manifest import UnknownThreshold as UnknownThreshold
    from edge_runtime.pixels.preprocess import pixel_table as pixel_table
    from edge_runtime.pixels.preprocess import resize_frame as resize_frame
    from edge_runtime.sources import open_source as open_source
    from edge_runtime.types import BackendInfo as BackendInfo
    from edge_runtime.types import Category as Category
    from edge_runtime.types import Counters as Counters
    from edge_runtime.types import Decision as Decision
    from edge_runtime.types import Event as Event
    from edge_runtime.types import InputContract as InputContract
    from edge_runtime.types import LiveResult as LiveResult
    from edge_runtime.types import Prediction as Prediction
    from edge_runtime.types import Region as Region
    from edge_runtime.types import TensorSpec as TensorSpec

_NAMES_IN = {
    "inference.classifier": "Classifier",
    "inference.golden": "verify_model",
    "inference.isolation.limits": "IsolationLimits",
    "live_loop.capture": "CaptureRules",
    "live_loop.decision": "DecisionRules",
    "live_loop.frame_gate": "GateRules",
    "live_loop.loop": "live",
    "model.file": "ModelFile read_model_file",
    "model.manifest": "Calibration GoldenSample Manifest MeasuredAccuracy UnknownThreshold",
    "pixels.preprocess": "pixel_table resize_frame",
    "sources": "open_source",
    "types": "BackendInfo Category Counters Decision Event InputContract LiveResult Prediction Region TensorSpec",
    "errors": "BackendError CameraError EdgeRuntimeError FrameError ManifestError ModelError OutputError ReportError "
    "RulesError ServerError SignatureError SourceError",
}
_MODULE_OF = {name: module for module, names in _NAMES_IN.items() for name in names.split()}

__all__ = [*_MODULE_OF, "__version__"]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'edge_runtime' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"edge_runtime.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
