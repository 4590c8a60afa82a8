"""Read TensorFlow Lite Metadata, the standard description of a model's image input and score output.

Slots are those of ``metadata_schema.fbs`` in tensorflow/tflite-support. `trainer.export.metadata` writes the metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.model.flatbuffer import FlatBuffer, Table

ENTRY_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"

# union ContentProperties, enum ColorSpaceType, union ProcessUnitOptions, enum AssociatedFileType
IMAGE_PROPERTIES = 2
RGB, GRAYSCALE = 1, 2
NORMALIZATION_OPTIONS = 1
TENSOR_AXIS_LABELS = 2


@dataclass(frozen=True)
class StandardMetadata:
    """Standard metadata of an image classifier.

    Attributes:
        name: Name of the model.
        is_image: Whether the input is declared as an image.
        is_gray: Whether the input is declared as grayscale.
        mean: Mean of the input normalization in pixel units, one value or one per channel; empty if not given.
        std: Standard deviation of the input normalization, like ``mean``.
        labels_file: Name of the associated labels file of each output; "" for an output without one.
    """

    name: str
    is_image: bool
    is_gray: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    labels_file: tuple[str, ...]


def read_metadata(content: bytes, path: str) -> StandardMetadata | None:
    """Read the metadata flatbuffer; None if it has another schema.

    Args:
        content: Content of the model's ``TFLITE_METADATA`` buffer.
        path: Path of the model file, for error messages.

    Raises:
        ModelError: The metadata is damaged.
    """
    buffer = FlatBuffer(content, len(content), path)
    if buffer.identifier() != IDENTIFIER:
        return None
    model = buffer.root()
    subgraph = next(iter(model.tables(3)), None)
    if subgraph is None:
        return None
    tensor = next(iter(subgraph.tables(2)), None)
    is_image, color_space = _image(tensor)
    mean, std = _normalization(tensor)
    return StandardMetadata(
        name=model.text(0),
        is_image=is_image,
        is_gray=color_space == GRAYSCALE,
        mean=mean,
        std=std,
        labels_file=tuple(_labels_file(output) for output in subgraph.tables(3)),
    )


def _image(tensor: Table | None) -> tuple[bool, int]:
    content = tensor.table(3) if tensor else None
    if content is None or content.scalar(0, "B") != IMAGE_PROPERTIES:
        return False, 0
    properties = content.table(1)
    return True, properties.scalar(0, "b") if properties else 0


def _normalization(tensor: Table | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in tensor.tables(4) if tensor else ():
        options = unit.table(1)
        if unit.scalar(0, "B") == NORMALIZATION_OPTIONS and options is not None:
            return options.floats(0), options.floats(1)
    return (), ()


def _labels_file(tensor: Table) -> str:
    """Return the name of the labels file, preferring one without a locale."""
    files = [file for file in tensor.tables(6) if file.scalar(2, "b") == TENSOR_AXIS_LABELS]
    files.sort(key=lambda file: bool(file.text(3)))
    return files[0].text(0) if files else ""
