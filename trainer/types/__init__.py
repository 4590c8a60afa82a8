"""Values that the whole trainer passes around; they depend on nothing but the errors."""

from trainer.types.evaluation import MATRIX_CLASSES, ClassMetrics, Evaluation, Robustness, Verdict
from trainer.types.models import LadderStep, NetworkCost, Variant
from trainer.types.pictures import SPLITS, Dataset, Features, Photo, Pixels, Split, TrainingSet
from trainer.types.results import CompressedModel, QuantizedModel, RunResult
from trainer.types.training import Epoch, ExtendedClass, Extension

__all__ = [
    "MATRIX_CLASSES",
    "SPLITS",
    "ClassMetrics",
    "CompressedModel",
    "Dataset",
    "Epoch",
    "Evaluation",
    "ExtendedClass",
    "Extension",
    "Features",
    "LadderStep",
    "NetworkCost",
    "Photo",
    "Pixels",
    "QuantizedModel",
    "Robustness",
    "RunResult",
    "Split",
    "TrainingSet",
    "Variant",
    "Verdict",
]
