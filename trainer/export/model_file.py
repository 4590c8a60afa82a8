"""Writes a converted model as one file that explains itself: metadata inside, labels and manifest in a ZIP behind."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_runtime.errors import ModelError
from edge_runtime.model.file import ModelFile, read_model_file
from edge_runtime.model.manifest import FILE_NAME as MANIFEST_NAME
from edge_runtime.model.manifest import Calibration, GoldenSample, Manifest, MeasuredAccuracy
from edge_runtime.model.metadata import ENTRY_NAME
from edge_runtime.types import Activation, InputContract
from trainer.errors import ConversionError
from trainer.export.compact import compact
from trainer.export.compatibility import check_compatibility
from trainer.export.metadata import LABELS_NAME, write_metadata
from trainer.storage import write_bytes


def export_model(
    path: str | os.PathLike[str],
    model_bytes: bytes,
    *,
    labels: Sequence[str],
    contract: InputContract,
    activation: Activation | None = None,
    provenance: dict[str, Any] | None = None,
    calibration: Calibration | None = None,
    golden: Sequence[GoldenSample] = (),
    accuracy: Sequence[MeasuredAccuracy] = (),
    temperature: float = 1.0,
    check: bool = False,
) -> ModelFile:
    """Writes a model file, whole or not at all; the same arguments give the same bytes.

    Args:
        path: Where to; an existing file is replaced.
        model_bytes: As `trainer.quantization.convert` gives them.
        labels: One for each class.
        contract: How a picture becomes the network's input.
        activation: That the network applies to its output; None: read off its last operation.
        provenance: Where the model came from, for the manifest.
        calibration: The representative dataset of an INT8 model.
        golden: Samples for ``edge-runtime verify``, if known already.
        accuracy: As measured, if known already.
        temperature: By which the logits were divided.
        check: Whether the file is first opened in the real interpreters, by `trainer.export.compatibility`.

    Returns:
        The file, read back.

    Raises:
        ConversionError: Labels, contract and model don't fit together, or an interpreter can't run the file.
        OutputFolderError: The file can't be written.
    """
    path = Path(path)
    if any(not label or label != label.strip() or len(label.splitlines()) != 1 for label in labels):
        raise ConversionError(f"Expected each label to be one line without blanks around it, got {list(labels)}.")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_bytes(model_bytes)
        # Read as the runtime reads it, which checks that labels, contract and model fit together.
        with _speaking_of(path, draft):
            model = read_model_file(draft, labels=labels, contract=contract, activation=activation)
        metadata = write_metadata(path.stem, contract, model.input_tensor, model.activation)
        content = compact(model_bytes, {ENTRY_NAME: metadata})
        manifest = Manifest(
            input=contract,
            input_tensor=model.input_tensor,
            output_tensor=model.output_tensor,
            activation=model.activation,
            model_sha256=hashlib.sha256(content).hexdigest(),
            provenance=provenance or {},
            accuracy=tuple(accuracy),
            calibration=calibration,
            golden=tuple(golden),
            temperature=temperature,
        )
        content = _with_files(content, labels, manifest)
        if check:
            draft.write_bytes(content)
            with _speaking_of(path, draft):
                check_compatibility(draft)
    write_bytes(path, content)
    return read_model_file(path)


def restamp(path: str | os.PathLike[str], manifest: Manifest) -> ModelFile:
    """Replaces the manifest of an exported model; the model's own bytes stay as they are.

    For what is known only after the file was measured: accuracy and golden samples.

    Raises:
        ModelError: The file can't be read, or the manifest is another model's.
        OutputFolderError: The file can't be written.
    """
    path = Path(path)
    model = read_model_file(path)
    if model.manifest is None or manifest.model_sha256 != model.sha256:
        raise ModelError(f"Expected a manifest of the very model in {path}, got another one's. Export the model again.")
    write_bytes(path, _with_files(path.read_bytes()[: model.model_bytes], model.labels, manifest))
    return read_model_file(path)


@contextmanager
def _speaking_of(path: Path, draft: Path) -> Iterator[None]:
    """Names the file that the user asked for in errors about its draft."""
    try:
        yield
    except (ModelError, ConversionError) as error:
        raise ConversionError(str(error).replace(str(draft), str(path))) from error


def _with_files(content: bytes, labels: Sequence[str], manifest: Manifest) -> bytes:
    """Appends the ZIP: stored, since MediaPipe refuses compressed ones, and without the time of day."""
    data = io.BytesIO(content)
    files = {LABELS_NAME: "".join(f"{label}\n" for label in labels), MANIFEST_NAME: manifest.to_json()}
    with zipfile.ZipFile(data, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text.encode())
    return data.getvalue()
