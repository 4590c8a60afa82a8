"""The errors of the trainer, one tree, each also the builtin that a caller would expect.

TrainerError
├── RecipeError (ValueError)        a setting is unknown or out of range
├── DatasetError (ValueError)       the photos can't be trained on
├── WeightsError (OSError)          pretrained weights can't be had
├── ConversionError (RuntimeError)  the converter made no model, or one that the device can't run
├── CompressionError (ValueError)   a network can't be compressed as asked
├── SearchError (ValueError)        a search can't be made as asked
├── GateError (RuntimeError)        INT8 lost more than the promise allows
├── ClusterError (RuntimeError)     GPUs or machines that are to train together can't, or one was lost
├── SigningError (ValueError)       a key can't be made, or not sign
├── PackagesError (RuntimeError)    packages are missing or don't fit together
└── OutputFolderError (OSError)     a run's folder can't be written
"""


class TrainerError(Exception):
    """Base of every error that the trainer raises on purpose."""


class RecipeError(TrainerError, ValueError):
    """A setting is unknown or out of range."""


class DatasetError(TrainerError, ValueError):
    """The photos can't be trained on."""


class WeightsError(TrainerError, OSError):
    """Pretrained weights can't be had."""


class ConversionError(TrainerError, RuntimeError):
    """The converter made no model, or one that the device can't run."""


class CompressionError(TrainerError, ValueError):
    """A network can't be compressed as asked."""


class SearchError(TrainerError, ValueError):
    """A search can't be made as asked."""


class GateError(TrainerError, RuntimeError):
    """INT8 lost more than the promise allows."""


class ClusterError(TrainerError, RuntimeError):
    """GPUs or machines that are to train together can't, or one was lost."""


class SigningError(TrainerError, ValueError):
    """A key can't be made, or not sign."""


class PackagesError(TrainerError, RuntimeError):
    """Packages are missing or don't fit together."""


class OutputFolderError(TrainerError, OSError):
    """A run's folder can't be written."""
