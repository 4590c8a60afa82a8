"""The errors of the runtime, one tree, each also the builtin that a caller would expect.

EdgeRuntimeError
├── ModelError (ValueError)            a model file can't be used as it is
│   ├── ManifestError                  its edge_manifest.json is damaged or of another schema
│   └── SignatureError                 it isn't signed by the key that is asked for, or that can't be found out
├── BackendError (RuntimeError)        no interpreter can be had, or it refuses the model
├── FrameError (ValueError)            a frame has the wrong shape, dtype or colour order
├── PictureError (ValueError)          a file is no picture, a damaged one, or larger than allowed
├── RulesError (ValueError)            settings of the live loop contradict themselves or the model
├── SourceError (OSError)              pictures can't be had from where they should come
│   └── CameraError                    a camera is missing, busy or stopped delivering
├── ReportError (ValueError)           a benchmark's report can't be read, or not be compared with another
├── OutputError (OSError)              a result can't be written
├── ServerError (RuntimeError)         the web server can't be started as it is asked for
└── ServiceError (ValueError)          no systemd unit can be made of what was asked for
"""

from typing import Literal


class EdgeRuntimeError(Exception):
    """Base of every error that the runtime raises on purpose."""


class ModelError(EdgeRuntimeError, ValueError):
    """A model file can't be used as it is."""


class ManifestError(ModelError):
    """The manifest inside a model file is damaged or of another schema."""


class SignatureError(ModelError):
    """A model file isn't signed by the key that is asked for, or that can't be found out."""


class BackendError(EdgeRuntimeError, RuntimeError):
    """No TensorFlow Lite interpreter can be had, or it refuses the model."""


class FrameError(EdgeRuntimeError, ValueError):
    """A frame has the wrong shape, dtype or colour order."""


class PictureError(EdgeRuntimeError, ValueError):
    """A file is no picture, a damaged one, or larger than allowed.

    Attributes:
        reason: ``"format"``, ``"damage"`` or ``"size"``.
    """

    def __init__(self, reason: Literal["format", "damage", "size"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RulesError(EdgeRuntimeError, ValueError):
    """Settings of the live loop, its rules or its sinks, contradict themselves or the model."""


class SourceError(EdgeRuntimeError, OSError):
    """Pictures can't be had from where they should come."""


class CameraError(SourceError):
    """A camera is missing, busy or stopped delivering."""


class ReportError(EdgeRuntimeError, ValueError):
    """A benchmark's report can't be read, or not be compared with another."""


class OutputError(EdgeRuntimeError, OSError):
    """A result can't be written."""


class ServerError(EdgeRuntimeError, RuntimeError):
    """The web server can't be started as it is asked for."""


class ServiceError(EdgeRuntimeError, ValueError):
    """No systemd unit can be made of what was asked for."""
