"""Turns a folder of photos into a compact, full-INT8 TensorFlow Lite model and its FP32 baseline.

    from trainer import Recipe, train

    result = train("photos", "runs/first", Recipe())

Importing this package loads nothing heavy. It must be imported before TensorFlow and Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trainer.environment as _environment  # noqa: F401, first of all: it sets what TensorFlow reads

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.config.search import SearchConfig
    from trainer.doctor.check import check as check_photos
    from trainer.errors import TrainerError
    from trainer.evaluation.evaluate import evaluate_photos
    from trainer.external import quantize_keras_model
    from trainer.pipeline import extend, resume, train
    from trainer.recipe import read_recipe
    from trainer.reports.preview import preview_photos
    from trainer.search.search import search_recipe
    from trainer.signing import new_key, sign_model
    from trainer.types import RunResult

__all__ = [
    "Recipe",
    "RunResult",
    "SearchConfig",
    "TrainerError",
    "check_photos",
    "evaluate_photos",
    "extend",
    "new_key",
    "preview_photos",
    "quantize_keras_model",
    "read_recipe",
    "resume",
    "search_recipe",
    "sign_model",
    "train",
]

_MODULE_OF = {
    "Recipe": "config",
    "RunResult": "types",
    "SearchConfig": "config.search",
    "TrainerError": "errors",
    "evaluate_photos": "evaluation.evaluate",
    "preview_photos": "reports.preview",
    "extend": "pipeline",
    "new_key": "signing",
    "quantize_keras_model": "external",
    "read_recipe": "recipe",
    "resume": "pipeline",
    "search_recipe": "search.search",
    "sign_model": "signing",
    "train": "pipeline",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "check_photos":  # its module has a function `check`, which here would hide the module of that name
        return import_module("trainer.doctor.check").check
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    return getattr(import_module(f"trainer.{_MODULE_OF[name]}"), name)
