"""Loads a network that was trained elsewhere: ``.keras`` and ``.h5`` of Keras 2 or 3, or a SavedModel folder."""

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

# A Keras 3 file needs Keras 3, which can't live in one process with the Keras 2 of the trainer.
_EXPORT_WITH_KERAS_3 = """
import sys
import keras
model = keras.models.load_model(sys.argv[1], compile=False)
if len(model.inputs) != 1 or len(model.outputs) != 1:
    sys.exit(f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs")
model.export(sys.argv[2], verbose=False)
"""


class SavedNetwork:
    """A SavedModel's serving function as a network.

    Attributes:
        input_shape: (batch, height, width, channels).
    """

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self._loaded = tf.saved_model.load(str(folder))  # the function needs its owner alive
        functions = self._loaded.signatures
        if not functions:
            raise ConversionError(f"Expected a SavedModel with a serving function, got none in {folder}. Export again.")
        self._function: Any = functions.get("serving_default") or next(iter(functions.values()))
        inputs = self._function.structured_input_signature[1]
        outputs = self._function.structured_outputs
        _check_counts(folder, len(inputs), len(outputs))
        (self._input_name, spec), (self._output_name, _) = next(iter(inputs.items())), next(iter(outputs.items()))
        self.input_shape: tuple[int | None, ...] = tuple(spec.shape)

    def __call__(self, images: Any, training: bool = False) -> Any:
        """Maps normalized float32 pictures to scores; ``training`` is for the look of a Keras model."""
        return self._function(**{self._input_name: images})[self._output_name]


def load_keras(path: str | os.PathLike[str]) -> Network:
    """Loads a Keras model or SavedModel for conversion.

    Args:
        path: A ``.keras`` or ``.h5`` file, or a SavedModel folder. The network takes pictures as float32
            (N, height, width, 1 or 3) of fixed size and gives (N, classes).

    Raises:
        ConversionError: It is no such thing, or can't be loaded.
    """
    path = Path(path)
    if not path.exists():
        raise ConversionError(f"Expected a Keras model, got {path}, which does not exist. Check the path.")
    if path.is_dir():
        if not (path / "saved_model.pb").exists():
            raise ConversionError(f"Expected a SavedModel, got the folder {path} without saved_model.pb in it.")
        network: Any = SavedNetwork(path)
    elif _keras_version(path).startswith("3"):
        network = _load_keras_3(path)
    else:
        network = _load_keras_2(path)
    shape = tuple(network.input_shape)
    if len(shape) != 4:
        raise ConversionError(
            f"Expected a network with an input (batch, height, width, channels), got {shape} in {path}. "
            "Only image classifiers can be quantized."
        )
    return network  # type: ignore[no-any-return]


def _load_keras_2(path: Path) -> Any:
    import tf_keras

    try:
        model = tf_keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds for a file that it can't read
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConversionError(
            f"Expected {path} to hold a Keras model of plain layers, but it can't be loaded: {reason} "
            "Save the whole model, not its weights alone."
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
            raise ConversionError(f"Expected Keras 3 to load {path}, but it failed: {reason}")
        return SavedNetwork(target)


def _keras_version(path: Path) -> str:
    """The Keras that wrote a file; empty where the file doesn't say.

    Raises:
        ConversionError: It is no Keras file.
    """
    import h5py

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise ConversionError(f"Expected a whole Keras model, but {path} is damaged. Copy it again.")
            if "metadata.json" in archive.namelist():
                return str(json.loads(archive.read("metadata.json")).get("keras_version", ""))
    elif h5py.is_hdf5(path):
        try:
            with h5py.File(path) as file:
                whole, version = "model_config" in file.attrs, file.attrs.get("keras_version", "")
        except OSError as error:
            raise ConversionError(f"Expected a whole Keras model, but {path} is damaged. Copy it again.") from error
        if not whole:
            raise ConversionError(
                f"Expected a whole Keras model, got weights alone in {path}. Save it by model.save()."
            )
        return version.decode() if isinstance(version, bytes) else str(version)
    raise ConversionError(f"Expected a .keras or .h5 model or a SavedModel folder, got {path}, which is none of them.")


def _check_counts(path: Path, inputs: int, outputs: int) -> None:
    if inputs != 1 or outputs != 1:
        raise ConversionError(
            f"Expected a network with one input and one output, got {inputs} and {outputs} in {path}. "
            "Only image classifiers can be quantized."
        )
