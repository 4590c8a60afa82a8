"""Load a network that was trained elsewhere: a ``.keras`` or ``.h5`` file of Keras 2 or 3, or a SavedModel folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from trainer.errors import ConversionError
from trainer.quantization.convert import Network

# A Keras 3 file needs Keras 3, which cannot share a process with the trainer's Keras 2.
_EXPORT_WITH_KERAS_3 = """
import sys
import keras
model = keras.models.load_model(sys.argv[1], compile=False)
if len(model.inputs) != 1 or len(model.outputs) != 1:
    sys.exit(f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs")
model.export(sys.argv[2], verbose=False)
"""


class SavedNetwork:
    """Serving function of a SavedModel, called like a Keras model.

    Attributes:
        input_shape: Shape of the input, (batch, height, width, channels).

    Raises:
        ConversionError: The SavedModel has no serving function, or several inputs or outputs.
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(folder))  # the function needs its owner to stay alive
        functions = self._loaded.signatures
        if not functions:
            raise ConversionError(
                f"The SavedModel {folder} has no serving function. Export the model again, with model.export()."
            )
        self._function: Any = functions.get("serving_default") or next(iter(functions.values()))
        inputs = self._function.structured_input_signature[1]
        outputs = self._function.structured_outputs
        _check_counts(folder, len(inputs), len(outputs))
        (self._input_name, spec), (self._output_name, _) = next(iter(inputs.items())), next(iter(outputs.items()))
        self.input_shape: tuple[int | None, ...] = tuple(spec.shape)

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Map normalized float32 (N, height, width, channels) pictures to scores; ``training`` is ignored."""
        return self._function(**{self._input_name: images})[self._output_name]


def load_keras(path: str | os.PathLike[str]) -> Network:
    """Load a Keras model or SavedModel for conversion.

    Args:
        path: A ``.keras`` or ``.h5`` file, or a SavedModel folder. The network maps float32
            (N, height, width, 1 or 3) pictures of fixed size to (N, classes) scores.

    Raises:
        ConversionError: The path holds no such network, or it cannot be loaded.
    """
    path = Path(path)
    if not path.exists():
        raise ConversionError(f"Keras model {path} does not exist. Check the path.")
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise ConversionError(f"Folder {path} is not a SavedModel: it contains no saved_model.pb.")
        network: Any = SavedNetwork(path)
    elif _keras_version(path).startswith("3"):
        network = _load_keras_3(path)
    else:
        network = _load_keras_2(path)
    shape = tuple(network.input_shape)
    if len(shape) != 4:
        raise ConversionError(
            f"The network in {path} takes input of shape {shape}, not pictures (batch, height, width, channels). "
            "Only image classifiers can be quantized."
        )
    return network  # type: ignore[no-any-return]


def _load_keras_2(path: Path) -> Any:
    import tf_keras

    try:
        model = tf_keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many types of errors for unreadable files
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConversionError(
            f"Cannot load the Keras model {path}: {reason} Save a whole model of built-in layers, not weights alone."
        ) from error
    _check_counts(path, len(model.inputs), len(model.outputs))
    return model


def _load_keras_3(path: Path) -> SavedNetwork:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "saved"
        done = subprocess.run(
            [sys.executable, "-c", _EXPORT_WITH_KERAS_3, str(path), str(target)],
            env={**os.environ, "TF_USE_LEGACY_KERAS": "0", "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise ConversionError(f"Keras 3 cannot load {path}: {reason}")
        return SavedNetwork(target)


def _keras_version(path: Path) -> str:
    """Return the version of Keras that wrote a file, or an empty string if unknown."""
    import h5py

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ConversionError(f"The Keras model {path} is damaged. Copy it again.")
            if "metadata.json" in archive.namelist():
                return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    elif h5py.is_hdf5(path):
        try:
            with h5py.File(path) as file:
                whole, version = "model_config" in file.attrs, file.attrs.get("keras_version", "")
        except OSError as error:
            raise ConversionError(f"The Keras model {path} is damaged. Copy it again.") from error
        if not whole:
            raise ConversionError(f"{path} holds weights alone. Save the whole model with model.save().")
        return version.decode() if isinstance(version, bytes) else str(version)
    raise ConversionError(f"{path} is not a Keras model. Use a .keras or .h5 file, or a SavedModel folder.")


def _check_counts(path: Path, inputs: int, outputs: int) -> None:
    if inputs != 1 or outputs != 1:
        raise ConversionError(
            f"Expected one input and one output, got {inputs} and {outputs} in {path}. "
            "Only image classifiers can be quantized."
        )
