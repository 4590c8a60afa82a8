"""Packages that training needs, and the order of their imports."""

from __future__ import annotations

import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from trainer.errors import PackagesError

# Keras 3 only conflicts if it was imported first; a later import, next to tf_keras, is harmless.
KERAS_3_CAME_FIRST = str(getattr(sys.modules.get("keras"), "__version__", "")).startswith("3")

# TensorFlow Model Optimization works with Keras 2 only; TensorFlow reads this when it is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# By default, TensorFlow uses its oneDNN kernels with AVX-512 only. With AVX2, they save 40% of a training step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

INSTALL = "pip install 'edge-image-sdk[trainer]'"
_REQUIRED = ("tensorflow", "tf_keras", "sklearn", "PIL", "matplotlib", "jinja2", "tqdm", "tomli_w", "numpy", "cv2")
_REPORTED = (
    "edge-image-sdk",
    "tensorflow",
    "tf_keras",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-learn",
    "tflite-runtime",
    "ai-edge-litert",
)


def check_packages() -> None:
    """Check that the installed packages can train.

    Raises:
        PackagesError: Python is too new, a package is missing, or Keras 3 was imported first.
    """
    if sys.version_info >= (3, 13):
        raise PackagesError(
            f"Training does not run on Python {platform.python_version()}, because TensorFlow 2.19 has no wheel for "
            "it. Use Python 3.10 to 3.12 for training; the resulting models also run on Python 3.13."
        )
    from importlib.util import find_spec

    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise PackagesError(f"Packages needed for training are not installed: {', '.join(missing)}. Run: {INSTALL}")
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1" or KERAS_3_CAME_FIRST:
        raise PackagesError(
            "Keras 3 is already loaded, but training needs Keras 2 (tf_keras). Restart Python, and import trainer "
            "before keras and tensorflow or set TF_USE_LEGACY_KERAS=1."
        )


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that influence a run's result."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in _REPORTED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def quiet(log: IO[Any]) -> Iterator[None]:
    """Redirect the process's stderr, including that of C++ code, to a file, and suppress Python warnings."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        os.dup2(log.fileno(), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def load_tensorflow() -> None:
    """Import TensorFlow without its messages about missing GPUs; errors still show."""
    if "tensorflow" in sys.modules:
        return
    with Path(os.devnull).open("wb") as nowhere, quiet(nowhere):
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")
