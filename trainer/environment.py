"""What has to be installed for training, and in which order it may be imported."""

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

# Whether Keras 3 was in use before us; one that is imported later, beside tf_keras, does no harm.
KERAS_3_CAME_FIRST = str(getattr(sys.modules.get("keras"), "__version__", "")).startswith("3")

# TensorFlow Model Optimization works with Keras 2 only; TensorFlow reads this when it is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow has oneDNN's kernels, and uses them of itself on processors with AVX-512 alone. With AVX2, too, a step of
# training takes 0.6 of the time.
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
    """Refuses an environment in which training can't work, before anything is done.

    Raises:
        PackagesError: Python is too new, a package is missing, or Keras 3 was imported first.
    """
    if sys.version_info >= (3, 13):
        raise PackagesError(
            f"Expected Python 3.10 to 3.12 for training, got {platform.python_version()}: TensorFlow 2.19 has no wheel "
            "for it. The models that it makes run on Python 3.13 too."
        )
    from importlib.util import find_spec

    missing = [name for name in _REQUIRED if find_spec(name) is None]
    if missing:
        raise PackagesError(f"Expected the trainer's packages, but {', '.join(missing)} is missing. Run: {INSTALL}")
    if os.environ.get("TF_USE_LEGACY_KERAS") != "1" or KERAS_3_CAME_FIRST:
        raise PackagesError(
            "Expected Keras 2 (tf_keras), which TensorFlow Model Optimization needs, but Keras 3 is already in use. "
            "Import trainer before keras and tensorflow, or set TF_USE_LEGACY_KERAS=1, and start Python again."
        )


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a run makes."""
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
    """Sends what is written to the process's stderr into a file, C++ code's lines too, and drops Python warnings."""
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
    """Imports TensorFlow, without its lines on graphics cards that aren't there; an error shows as ever."""
    if "tensorflow" in sys.modules:
        return
    with Path(os.devnull).open("wb") as nowhere, quiet(nowhere):
        import tensorflow as tf

        tf.config.list_physical_devices()
    tf.get_logger().setLevel("ERROR")
