"""Keeps TensorFlow's chatter from people's terminals."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


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
