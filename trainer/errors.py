"""Errors of the trainer: one tree, each also the builtin error that fits it.

TrainerError
├── RecipeError (ValueError)        a setting is unknown, out of range or conflicts with another
├── DatasetError (ValueError)       the photos cannot be used
├── WeightsError (OSError)          pretrained weights are not available
├── ConversionError (RuntimeError)  a model cannot be loaded or converted, or the device cannot run it
├── CompressionError (ValueError)   a network cannot be compressed as requested
├── SearchError (ValueError)        a search cannot run as requested
├── GateError (RuntimeError)        the INT8 model failed the accuracy gate
├── ClusterError (RuntimeError)     distributed training cannot start, or lost a GPU or machine
├── SigningError (ValueError)       a signing key cannot be created or used
├── PackagesError (RuntimeError)    packages are missing or incompatible
└── OutputFolderError (OSError)     a folder or file cannot be written, or holds no usable run
"""


class TrainerError(Exception):
    """Base class of all errors that the trainer raises on purpose."""


class RecipeError(TrainerError, ValueError):
    """A setting is unknown, out of range or conflicts with another."""


class DatasetError(TrainerError, ValueError):
    """The photos cannot be used."""


class WeightsError(TrainerError, OSError):
    """Pretrained weights are not available."""


class ConversionError(TrainerError, RuntimeError):
    """A model cannot be loaded or converted, or the device cannot run it."""


class CompressionError(TrainerError, ValueError):
    """A network cannot be compressed as requested."""


class SearchError(TrainerError, ValueError):
    """A search cannot run as requested."""


class GateError(TrainerError, RuntimeError):
    """The INT8 model failed the accuracy gate."""


class ClusterError(TrainerError, RuntimeError):
    """Distributed training cannot start, or lost a GPU or machine."""


class SigningError(TrainerError, ValueError):
    """A signing key cannot be created or used."""


class PackagesError(TrainerError, RuntimeError):
    """Packages are missing or incompatible."""


class OutputFolderError(TrainerError, OSError):
    """A folder or file cannot be written, or holds no usable run."""
