"""Train compact, fully quantized (INT8) TensorFlow Lite image classifiers from a folder of photos.

    from trainer import Recipe, train

    result = train("photos", "runs/first", Recipe())

Importing this package is cheap: TensorFlow loads when it is needed. Import it before TensorFlow and Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trainer.environment as _environment  # noqa: F401, first: sets variables that TensorFlow reads

if TYPE_CHECKING:
    from trainer.config import Recipe
    from trainer.config.recipe_file import read_recipe
    from trainer.config.search import SearchConfig
    from trainer.errors import TrainerError
    from trainer.evaluation.evaluate import evaluate_photos
    from trainer.export.signing import new_key, sign_model
    from trainer.types import RunResult
    from trainer.workflows.check.check import check_photos
    from trainer.workflows.check.preview import preview_photos
    from trainer.workflows.external.quantize import quantize_keras_model
    from trainer.workflows.search.search import search_recipe
    from trainer.workflows.train.pipeline import extend, resume, train

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
    "check_photos": "workflows.check.check",
    "evaluate_photos": "evaluation.evaluate",
    "extend": "workflows.train.pipeline",
    "new_key": "export.signing",
    "preview_photos": "workflows.check.preview",
    "quantize_keras_model": "workflows.external.quantize",
    "read_recipe": "config.recipe_file",
    "resume": "workflows.train.pipeline",
    "search_recipe": "workflows.search.search",
    "sign_model": "export.signing",
    "train": "workflows.train.pipeline",
}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trainer.{_MODULE_OF[name]}"), name)
