"""Quantize, export and measure a network that was trained elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from trainer.config import DataConfig, GateConfig
from trainer.data.cache import cache_folder
from trainer.data.pixels import load_pixels
from trainer.environment import load_tensorflow
from trainer.errors import ConversionError, DatasetError, OutputFolderError, RecipeError
from trainer.evaluation.multi_label import thresholds_of
from trainer.export.model_file import Exporter
from trainer.runs.artifacts import MODEL_FILES
from trainer.types import Dataset, Evaluation, Pixels, QuantizedModel, Split

if TYPE_CHECKING:
    from edge_runtime import InputContract
    from edge_runtime.model.manifest import Calibration
    from edge_runtime.types import Activation
    from trainer.quantization.tflite_converter import Network

_RANGES = {
    "0..255": ((0.0,), (1.0,)),
    "0..1": ((0.0,), (255.0,)),
    # -1 to 1 as in the trainer's own networks: 0.004 off the usual 127.5, but int8 pixels become an exact shift.
    "symmetric": ((128.0,), (127.5,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
}


def quantize_keras_model(
    model: Path,
    representative: Path,
    to: Path,
    *,
    normalize: str,
    crop: Literal["center", "stretch"] = "center",
    labels: tuple[str, ...] | None = None,
    activation: Activation | None = None,
    samples: int = 256,
    io: Literal["int8", "uint8"] = "int8",
    seed: int = 0,
    gate: GateConfig | None = None,
) -> QuantizedModel:
    """Quantize an existing Keras model to INT8 without training it, and measure both precisions.

    Writes ``model_fp32.tflite`` and ``model_int8.tflite``, which contain labels, input contract and manifest.

    Args:
        model: ``.keras`` or ``.h5`` file, or SavedModel folder, that maps float32 (N, height, width, 3) RGB pictures
            of fixed size to (N, classes) scores.
        representative: Photos typical of the model's use: ``<class>/*``, ``{train,val,test}/<class>/*`` or a list,
            with several labels per photo if the network ends in a sigmoid. The training split is the source of the
            calibration set, the validation split measures the models.
        to: New or empty folder for the models.
        normalize: Range of the network's input: ``"0..255"``, ``"0..1"``, ``"symmetric"`` (-1 to 1), ``"imagenet"``
            (mean and standard deviation per channel), or ``"MEAN,STD"`` in pixel units.
        crop: Part of a frame to use: its center (``"center"``), or all of it, distorted (``"stretch"``).
        labels: Names of the classes in the order of the network's outputs; None for those of the photos, sorted.
        activation: Activation of the network's output; None to detect it from the last operation.
        samples: Number of pictures in the calibration set.
        io: dtype of the INT8 model's input and output tensors.
        seed: Seed of the splits and of the calibration set.
        gate: Limits of the accuracy gate; None for the defaults.

    Returns:
        The two models, their measurements and the decision of the accuracy gate. A failed gate raises no error here;
        call ``verdict.require_passed()`` for one.

    Raises:
        TrainerError: Network, photos or folder cannot be used.
    """
    from trainer.evaluation.accuracy_gate import judge
    from trainer.quantization.calibration import representative_set
    from trainer.quantization.convert import convert_fp32, convert_int8
    from trainer.quantization.preparation.prepare import prepare_for_int8

    opened = open_external(
        model, representative, to, normalize=normalize, crop=crop, labels=labels, activation=activation, seed=seed
    )
    network, contract = opened.network, opened.contract
    images, calibration = representative_set(
        opened.pixels("train"), samples=samples, seed=seed, num_classes=len(opened.labels)
    )
    files = {kind: to / name for kind, name in MODEL_FILES.items()}
    opened.export(files["fp32"], convert_fp32(network))
    content = convert_int8(prepare_for_int8(network, images, contract=contract), images, contract=contract, io=io)
    opened.export(files["int8"], content, calibration)
    evaluations = {kind: opened.measure(path) for kind, path in files.items()}
    verdict = judge(evaluations["fp32"], evaluations["int8"], gate or GateConfig())
    return QuantizedModel(files["fp32"], files["int8"], evaluations, verdict)


@dataclass(frozen=True)
class ExternalModel:
    """A network that was trained elsewhere, with photos typical of its use.

    Attributes:
        name: Name of its file.
        network: A tf_keras model, or a function that is called like one.
        exporter: Labels, input contract, activation and provenance of the exported models.
        dataset: The photos.
    """

    name: str
    network: Network
    exporter: Exporter
    dataset: Dataset

    @property
    def contract(self) -> InputContract:
        """Input contract of the network."""
        return self.exporter.contract

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the network's outputs."""
        return self.exporter.labels

    def pixels(self, split: Split) -> Pixels:
        """Return a split's pictures, with the class indices of the network's outputs."""
        pixels = load_pixels(self.dataset, split, self.contract, cache_folder())
        outputs = np.array([self.labels.index(label) for label in self.dataset.labels])
        if not self.dataset.multi_label:
            return replace(pixels, labels=outputs[pixels.labels])
        labels = np.zeros((len(pixels), len(self.labels)), pixels.labels.dtype)
        labels[:, outputs] = pixels.labels
        return replace(pixels, labels=labels)

    def export(self, path: Path, content: bytes, calibration: Calibration | None = None) -> None:
        """Write a model that was converted from the network.

        Raises:
            ConversionError: The photos have several labels, but the network does not end in a sigmoid.
            OutputFolderError: The folder cannot be created.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputFolderError(
                f"Cannot write to {path.parent}: {error.strerror}. Choose another folder."
            ) from error
        file = self.exporter.write(path, content, calibration)
        if self.dataset.multi_label and file.activation != "sigmoid":
            path.unlink()
            raise ConversionError(
                f"{self.name} ends in {file.activation}, but photos with several labels need a network that ends in a "
                "sigmoid. Use photos with one label each, or another network."
            )

    def measure(self, path: Path) -> Evaluation:
        """Measure an exported file on the validation photos.

        In a multi-label file this also stores the best threshold of each class.
        """
        from edge_runtime import read_model_file
        from trainer.evaluation.evaluate import evaluate_pixels
        from trainer.export.model_file import restamp

        evaluation = evaluate_pixels(path, self.pixels("val"), "val")
        if thresholds := thresholds_of(evaluation):
            manifest = read_model_file(path).manifest
            assert manifest is not None  # `export` wrote it
            restamp(path, replace(manifest, thresholds=thresholds))
        return evaluation


def open_external(
    model: Path,
    photos: Path,
    to: Path,
    *,
    normalize: str,
    crop: Literal["center", "stretch"] = "center",
    labels: tuple[str, ...] | None = None,
    activation: Activation | None = None,
    seed: int = 0,
) -> ExternalModel:
    """Open a network and its photos, without writing anything yet.

    Args:
        model: Network, as for `quantize_keras_model`.
        photos: Folder or list of photos.
        to: Folder for the models, new or empty.
        normalize: Range of the network's input.
        crop: Part of a frame to use.
        labels: Names of the classes in the order of the network's outputs; None for those of the photos, sorted.
        activation: Activation of the network's output; None to detect it from the last operation.
        seed: Seed of the splits.

    Raises:
        TrainerError: Network, photos, settings or folder cannot be used.
    """
    from edge_runtime import InputContract
    from trainer.data.dataset import scan
    from trainer.environment import check_packages, package_versions
    from trainer.workflows.external.keras_models import load_keras

    check_packages()
    mean, std = parse_normalization(normalize)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise OutputFolderError(f"{to} already exists and is not an empty folder. Choose another output folder.")
    dataset = scan(photos, data=DataConfig(), seed=seed)
    labels = labels or dataset.labels
    unknown = sorted(set(dataset.labels) - set(labels))
    if unknown:
        raise DatasetError(
            f"Photos in {photos} show classes that are not among the model's labels: {', '.join(unknown)}. "
            "Rename these classes, or correct the labels."
        )
    load_tensorflow()
    network = load_keras(model)
    _, height, width, channels = network.input_shape
    if not (height and width and channels == 3):
        raise ConversionError(
            f"The network takes input of shape {network.input_shape}, not RGB pictures of fixed size."
        )
    contract = InputContract(height, width, crop=crop, mean=mean, std=std)
    provenance = {"trained_elsewhere": model.name, "versions": package_versions()}
    return ExternalModel(model.name, network, Exporter(labels, contract, activation, provenance), dataset)


def parse_normalization(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation in pixel units, by the name or values of a normalization.

    Raises:
        RecipeError: The text is neither a known name nor ``MEAN,STD``.
    """
    if text in _RANGES:
        return _RANGES[text]
    try:
        mean, std = (float(part) for part in text.split(","))
        if std <= 0:
            raise ValueError
    except ValueError:
        raise RecipeError(
            f"Unknown normalization {text!r}. Use {', '.join(_RANGES)}, or MEAN,STD in pixel units such as 127.5,127.5."
        ) from None
    return (mean,), (std,)
