"""Train compact, fully quantized (INT8) TensorFlow Lite image classifiers from a folder of photos.

    from trainer import Recipe, train

    result = train("photos", "runs/first", Recipe())

Importing this package is cheap: TensorFlow loads when it is needed. Import it before TensorFlow and Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trainer.environment as _environment  # noqa: F401, first: sets variables that TensorFlow reads

if TYPE_CHECKING:
    from trainer.config import Recipe as Recipe
    from trainer.config.recipe_file import read_recipe as read_recipe
    from trainer.config.search import SearchConfig as SearchConfig
    from trainer.errors import TrainerError as TrainerError
    from trainer.evaluation.evaluate import evaluate_photos as evaluate_photos
    from trainer.export.signing import new_key as new_key
    from trainer.export.signing import sign_model as sign_model
    from trainer.types import RunResult as RunResult
    from trainer.workflows.check.check import check_photos as check_photos
    from trainer.workflows.check.preview import preview_photos as preview_photos
    from trainer.workflows.external.quantize import quantize_keras_model as quantize_keras_model
    from trainer.workflows.search.search import search_recipe as search_recipe
    from trainer.workflows.train.pipeline import extend as extend
    from trainer.workflows.train.pipeline import resume as resume
    from trainer.workflows.train.pipeline import train as train

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

__all__ = list(_MODULE_OF)


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'trainer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trainer.{_MODULE_OF[name]}"), name)
