"""The values that travel through the trainer. They import nothing else of ours."""

from trainer.types.evaluation import MATRIX_CLASSES, ClassMetrics, Evaluation, Robustness, Verdict
from trainer.types.models import LadderStep, NetworkCost, Variant
from trainer.types.pictures import SPLITS, Dataset, Features, Photo, Pixels, Split, TrainingSet
from trainer.types.results import CompressedModel, QuantizedModel, RunResult, require_kept
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
    "require_kept",
]
