"""The runtime's exceptions: one tree, each also the matching builtin.

EdgeRuntimeError
├── ModelError (ValueError)            a model file cannot be used
│   ├── ManifestError                  its edge_manifest.json is damaged, of another schema, or lacks what is needed
│   └── SignatureError                 its signature is missing, wrong, or cannot be checked
├── BackendError (RuntimeError)        no interpreter is available, or it rejects the model
├── FrameError (ValueError)            a frame has the wrong shape, dtype or color order
├── PictureError (ValueError)          an image file is unreadable, damaged or too large
├── RulesError (ValueError)            live-loop settings contradict each other or the model
├── SourceError (OSError)              a source cannot deliver frames
│   └── CameraError                    a camera is missing, busy or no longer delivers
├── ReportError (ValueError)           a benchmark report cannot be read or compared
├── OutputError (OSError)              a result cannot be written
├── ServerError (RuntimeError)         the web server cannot start as configured
└── ServiceError (ValueError)          the systemd unit cannot be generated
"""

from typing import Literal


class EdgeRuntimeError(Exception):
    """Base class of all errors that the runtime raises on purpose."""


class ModelError(EdgeRuntimeError, ValueError):
    """A model file cannot be used."""


class ManifestError(ModelError):
    """The manifest inside a model file is damaged, of another schema, or lacks what is needed."""


class SignatureError(ModelError):
    """A model's signature is missing, does not match the public key, or cannot be checked."""


class BackendError(EdgeRuntimeError, RuntimeError):
    """No TensorFlow Lite interpreter is available, or it rejects the model."""


class FrameError(EdgeRuntimeError, ValueError):
    """A frame has the wrong shape, dtype or color order."""


class PictureError(EdgeRuntimeError, ValueError):
    """An image file is in an unknown format, damaged, or larger than allowed.

    Attributes:
        reason: ``"format"``, ``"damage"`` or ``"size"``.
    """

    def __init__(self, reason: Literal["format", "damage", "size"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RulesError(EdgeRuntimeError, ValueError):
    """Settings of the live loop, its rules or its sinks contradict each other or the model."""


class SourceError(EdgeRuntimeError, OSError):
    """A source cannot deliver frames."""


class CameraError(SourceError):
    """A camera is missing, busy, or no longer delivers frames."""


class ReportError(EdgeRuntimeError, ValueError):
    """A benchmark report cannot be read, or cannot be compared with another one."""


class OutputError(EdgeRuntimeError, OSError):
    """A result cannot be written."""


class ServerError(EdgeRuntimeError, RuntimeError):
    """The web server cannot start as configured."""


class ServiceError(EdgeRuntimeError, ValueError):
    """The systemd unit cannot be generated from these settings."""
