"""Models to measure: built, converted and exported with the trainer's functions, with an untrained head.

They are built in another process, so that TensorFlow's threads and memory do not affect the measurement.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.harness.inputs import ROOT, SHARED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trainer.types import Pixels

Io = Literal["int8", "uint8"]
LABELS = ("cardboard", "glass", "metal", "paper", "plastic", "trash")
_SAMPLES = 24


@dataclass(frozen=True)
class ModelPair:
    """FP32 and INT8 file of one network."""

    fp32: Path
    int8: Path


def build_pair(
    folder: Path, backbone: str, input_size: int = 224, *, io: Io = "int8", classes: int = len(LABELS)
) -> ModelPair:
    """Build both files of a network, with the shared ImageNet weights if they are available.

    Args:
        folder: Folder for the files.
        backbone: Name of the backbone in the trainer.
        input_size: Input height and width, in pixels.
        io: dtype of the INT8 file's input and output.
        classes: Number of classes, named by number unless it is the default of six.
    """
    job = map(str, (folder, backbone, input_size, io, classes))
    command = [sys.executable, "-m", "benchmarks.subjects.models", *job]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    if SHARED.exists():
        environment["KERAS_HOME"] = str(SHARED / "keras")
    # TensorFlow and its converter are noisy on stderr, which is shown only if they fail.
    done = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"Building the {backbone} model failed:\n{done.stderr}")
    return _paths(folder, backbone, input_size, io, classes)


def _paths(folder: Path, backbone: str, input_size: int, io: Io, classes: int) -> ModelPair:
    more = "" if classes == len(LABELS) else f"_{classes}"
    return ModelPair(*(folder / f"{backbone}_{input_size}{more}_{kind}.tflite" for kind in ("fp32", io)))


def _build(folder: Path, backbone_name: str, input_size: int, io: Io, classes: int) -> None:
    import numpy as np

    from edge_runtime import InputContract
    from trainer.export.model_file import Exporter
    from trainer.quantization.calibration import representative_set
    from trainer.quantization.convert import convert_fp32, convert_int8
    from trainer.training.networks.backbones import build_model, get_backbone
    from trainer.training.networks.weights import resolve_weights

    backbone = get_backbone(backbone_name)
    here = SHARED / "keras/models" / backbone.weights_name(input_size)
    weights = resolve_weights(backbone, "imagenet" if here.is_file() else "none", input_size)
    model = build_model(backbone, num_classes=classes, input_size=input_size, weights_file=weights)
    contract = InputContract(input_size, input_size, mean=backbone.mean, std=backbone.std)
    pixels = _pixels(contract)
    if weights is None:
        mean, std = np.asarray(backbone.mean, np.float32), np.asarray(backbone.std, np.float32)
        _settle(model, (pixels.images.astype(np.float32) - mean) / std)
    images, calibration = representative_set(pixels, samples=_SAMPLES, seed=0, num_classes=len(LABELS))
    labels = LABELS if classes == len(LABELS) else tuple(f"class {number}" for number in range(classes))
    pair = _paths(folder, backbone_name, input_size, io, classes)
    for path, content, calibrated in (
        (pair.fp32, convert_fp32(model), None),
        (pair.int8, convert_int8(model, images, contract=contract, io=io), calibration),
    ):
        Exporter(labels, contract).write(path, content, calibrated, check=False)
        _stamp(path, pixels)


def _settle(model: Any, images: NDArray[np.float32]) -> None:
    """Set the batch normalization statistics of a network with random weights from its pictures.

    Otherwise activations shrink from layer to layer, down to scales that the INT8 kernels reject.
    """
    import tf_keras

    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.trainable, layer.momentum = True, 0.0
    model(images, training=True)


def _pixels(contract: object) -> Pixels:
    """Return photos if available, else drawn frames; the content changes neither speed nor size."""
    import cv2
    import numpy as np

    from benchmarks.harness.inputs import frames
    from edge_runtime import resize_frame
    from trainer.types import Pixels

    photos = sorted((SHARED / "data/trashnet/train").glob("*/*.jpg"))[:: 2000 // _SAMPLES][:_SAMPLES]
    pictures: list[NDArray[np.uint8]] = [cv2.imread(str(photo)) for photo in photos] or frames(_SAMPLES)
    images = np.stack([resize_frame(picture, contract, color="bgr") for picture in pictures])  # type: ignore[arg-type]
    return Pixels(images, np.arange(len(images)) % len(LABELS), ("",) * len(images))


def _stamp(path: Path, pixels: Pixels) -> None:
    """Add golden samples and made-up accuracies, so that the file is complete like those that the trainer ships."""
    from dataclasses import replace

    import cv2

    from edge_runtime import Classifier, MeasuredAccuracy
    from edge_runtime.inference.golden import make_sample
    from trainer.export.model_file import restamp

    small = [cv2.resize(image, (72, 72), interpolation=cv2.INTER_AREA) for image in pixels.images[:2]]
    with Classifier(path) as classifier:
        golden = tuple(make_sample(classifier, frame) for frame in (*small, 1))
        manifest = classifier.model.manifest
    assert manifest is not None
    accuracy = tuple(MeasuredAccuracy(split, 505, 0.875, 0.875, 0.975, "not measured") for split in ("val", "test"))
    restamp(path, replace(manifest, golden=golden, accuracy=accuracy))


if __name__ == "__main__":
    path, name, size, io, classes = sys.argv[1:]
    _build(Path(path), name, int(size), "uint8" if io == "uint8" else "int8", int(classes))
