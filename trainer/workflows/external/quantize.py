"""The last steps for a network that was trained elsewhere: quantize, export, measure, judge."""

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
    # -1 to 1 as the trainer's own networks have it: 0.004 beside the usual 127.5, and int8 pixels are an exact shift.
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
    """Quantizes a Keras model and writes FP32 and INT8 files that explain themselves.

    Args:
        model: ``.keras``, ``.h5`` or a SavedModel folder; takes (N, height, width, 3) RGB, gives (N, classes).
        representative: Photos like those that it will see: ``<class>/*``, ``{train,val,test}/<class>/*`` or a list,
            with several labels a photo where the network ends in a sigmoid. The calibration pictures are taken from
            the training split, whether given or made.
        to: A new folder.
        normalize: What the network takes: ``"0..255"``, ``"0..1"``, ``"symmetric"`` (-1 to 1), ``"imagenet"`` (mean and
            standard deviation per channel), or ``"MEAN,STD"`` in pixel units.
        crop: Which part of a frame is used.
        labels: In the order of the network's outputs; None: the classes' names, sorted.
        activation: What the network applies to its output; None: read off its last operation.
        samples: Calibration pictures.
        io: dtype of the input and output tensors.
        seed: Of the choice of calibration pictures.
        gate: What INT8 may lose.

    Returns:
        The two files and the gate's verdict, which the caller is to heed.

    Raises:
        TrainerError: Network, photos or folder can't be used.
    """
    from trainer.evaluation.accuracy_gate import judge
    from trainer.quantization.calibration import representative_set
    from trainer.quantization.convert import convert_fp32, convert_int8
    from trainer.quantization.preparation.prepare import prepare_for_int8

    opened = open_external(model, representative, to, normalize=normalize, crop=crop, labels=labels, seed=seed)
    network, contract = opened.network, opened.contract
    images, calibration = representative_set(
        opened.pixels("train"), samples=samples, seed=seed, num_classes=len(opened.labels)
    )
    files = {kind: to / name for kind, name in MODEL_FILES.items()}
    opened.export(files["fp32"], convert_fp32(network), activation=activation)
    content = convert_int8(prepare_for_int8(network, images, contract=contract), images, contract=contract, io=io)
    opened.export(files["int8"], content, activation=activation, calibration=calibration)
    evaluations = {kind: opened.measure(path) for kind, path in files.items()}
    verdict = judge(evaluations["fp32"], evaluations["int8"], gate or GateConfig())
    return QuantizedModel(files["fp32"], files["int8"], evaluations, verdict)


@dataclass(frozen=True)
class ExternalModel:
    """A network that was trained elsewhere, with photos like those that it will see.

    Attributes:
        name: Of its file.
        network: A tf_keras model, or what stands for one.
        contract: How a picture becomes its input.
        labels: In the order of its outputs.
        dataset: The photos.
    """

    name: str
    network: Network
    contract: InputContract
    labels: tuple[str, ...]
    dataset: Dataset

    def pixels(self, split: Split) -> Pixels:
        """A split's pictures, their classes numbered as the network numbers them."""
        pixels = load_pixels(self.dataset, split, self.contract, cache_folder())
        outputs = np.array([self.labels.index(label) for label in self.dataset.labels])
        if not self.dataset.multi_label:
            return replace(pixels, labels=outputs[pixels.labels])
        labels = np.zeros((len(pixels), len(self.labels)), pixels.labels.dtype)
        labels[:, outputs] = pixels.labels
        return replace(pixels, labels=labels)

    def export(
        self,
        path: Path,
        content: bytes,
        *,
        activation: Activation | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        """Writes a model that was made of the network.

        Raises:
            ConversionError: Photos have several labels, and the network doesn't answer each class by itself.
            TrainerError: It can't be written, or not run.
        """
        from trainer.environment import package_versions
        from trainer.export.model_file import export_model

        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputFolderError(
                f"Expected to write into {path.parent}, got: {error.strerror}. Choose another --to."
            ) from error
        file = export_model(
            path,
            content,
            labels=self.labels,
            contract=self.contract,
            activation=activation,
            provenance={"trained_elsewhere": self.name, "versions": package_versions()},
            calibration=calibration,
            check=True,
        )
        if self.dataset.multi_label and file.activation != "sigmoid":
            path.unlink()
            raise ConversionError(
                f"Expected a network that ends in a sigmoid for photos with several labels, got {file.activation} in "
                f"{self.name}. Give photos with one label each, or a network that answers each class by itself."
            )

    def measure(self, path: Path) -> Evaluation:
        """Measures an exported file on the validation photos.

        Where photos have several labels, the file gets the threshold of each class that serves those best.
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
    seed: int = 0,
) -> ExternalModel:
    """Opens a network and photos for it, as `quantize_keras_model` takes them; nothing is written yet.

    Raises:
        TrainerError: Network, photos or folder can't be used.
    """
    from edge_runtime import InputContract
    from trainer.data.dataset import scan
    from trainer.environment import check_packages
    from trainer.workflows.external.keras_models import load_keras

    check_packages()
    mean, std = parse_normalization(normalize)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise OutputFolderError(f"Expected {to} to be a new or empty folder. Choose another one with --to.")
    dataset = scan(photos, data=DataConfig(), seed=seed)
    labels = labels or dataset.labels
    strangers = sorted(set(dataset.labels) - set(labels))
    if strangers:
        raise DatasetError(f"Expected classes named like the labels, got {', '.join(strangers)}. Rename them.")
    load_tensorflow()
    network = load_keras(model)
    _, height, width, channels = network.input_shape
    if not (height and width and channels == 3):
        raise ConversionError(f"Expected a network for RGB pictures of fixed size, got input {network.input_shape}.")
    contract = InputContract(height, width, crop=crop, mean=mean, std=std)
    return ExternalModel(model.name, network, contract, labels, dataset)


def parse_normalization(text: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation in pixel units from what ``--normalize`` takes.

    Raises:
        RecipeError: It is none of them.
    """
    if text in _RANGES:
        return _RANGES[text]
    try:
        mean, std = (float(part) for part in text.split(","))
        if std <= 0:
            raise ValueError
    except ValueError:
        raise RecipeError(
            f"Expected --normalize to be {', '.join(_RANGES)} or MEAN,STD in pixel units, for example 127.5,127.5, "
            f"got {text!r}."
        ) from None
    return (mean,), (std,)
