"""Write a self-describing model file: metadata inside, labels and manifest in an appended ZIP archive."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_runtime.errors import ModelError
from edge_runtime.model.file import ModelFile, read_model_file
from edge_runtime.model.manifest import FILE_NAME as MANIFEST_NAME
from edge_runtime.model.manifest import Calibration, Manifest
from edge_runtime.model.metadata import ENTRY_NAME
from edge_runtime.types import Activation, InputContract
from trainer.errors import ConversionError
from trainer.export.compact import compact
from trainer.export.compatibility import check_compatibility
from trainer.export.metadata import LABELS_NAME, write_metadata
from trainer.storage import write_bytes


@dataclass(frozen=True)
class Exporter:
    """Writes the model files of a network. The same values and model result in the same bytes.

    Attributes:
        labels: Names of the classes, in the order of the network's outputs.
        contract: Input contract of the network.
        activation: Activation of the network's output; None to detect it from the last operation.
        provenance: Origin of the models, for the manifest.
        temperature: Divisor of the logits.
    """

    labels: tuple[str, ...]
    contract: InputContract
    activation: Activation | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0

    def write(
        self, path: Path, content: bytes, calibration: Calibration | None = None, *, check: bool = True
    ) -> ModelFile:
        """Write a model file atomically, and return it as read back.

        Args:
            path: Path of the file; an existing one is replaced.
            content: Model as returned by `trainer.quantization.convert`.
            calibration: Calibration set of an INT8 model, for the manifest.
            check: Whether to run the file in the interpreters first; see `trainer.export.compatibility`.

        Raises:
            ConversionError: Labels, contract and model do not match, or an interpreter cannot run the file.
            OutputFolderError: The file cannot be written.
        """
        if any(not label or label != label.strip() or len(label.splitlines()) != 1 for label in self.labels):
            raise ConversionError(f"Labels must be single lines without surrounding spaces, got {list(self.labels)}.")
        with tempfile.TemporaryDirectory() as folder, _speaking_of(path, draft := Path(folder) / path.name):
            draft.write_bytes(content)
            # The runtime's own reader checks that labels, contract and model match.
            model = read_model_file(draft, labels=self.labels, contract=self.contract, activation=self.activation)
            metadata = write_metadata(path.stem, self.contract, model.input_tensor, model.activation)
            content = compact(content, {ENTRY_NAME: metadata})
            manifest = Manifest(
                input=self.contract,
                input_tensor=model.input_tensor,
                output_tensor=model.output_tensor,
                activation=model.activation,
                model_sha256=hashlib.sha256(content).hexdigest(),
                provenance=dict(self.provenance),
                calibration=calibration,
                temperature=self.temperature,
            )
            content = _with_files(content, self.labels, manifest)
            if check:
                draft.write_bytes(content)
                check_compatibility(draft)
        write_bytes(path, content)
        return read_model_file(path)


def restamp(path: str | os.PathLike[str], manifest: Manifest) -> ModelFile:
    """Replace the manifest of an exported model, without changing the model's own bytes.

    This adds what is known only after measuring the file, such as accuracy and golden samples.

    Raises:
        ModelError: The file cannot be read, or the manifest belongs to another model.
        OutputFolderError: The file cannot be written.
    """
    path = Path(path)
    model = read_model_file(path)
    if model.manifest is None or manifest.model_sha256 != model.sha256:
        raise ModelError(f"The manifest does not belong to the model in {path}. Export the model again.")
    write_bytes(path, _with_files(path.read_bytes()[: model.model_bytes], model.labels, manifest))
    return read_model_file(path)


@contextmanager
def _speaking_of(path: Path, draft: Path) -> Iterator[None]:
    """Name the requested file in errors about its draft."""
    try:
        yield
    except (ModelError, ConversionError) as error:
        raise ConversionError(str(error).replace(str(draft), str(path))) from error


def _with_files(content: bytes, labels: Sequence[str], manifest: Manifest) -> bytes:
    """Append the ZIP archive: uncompressed, as MediaPipe requires, and without the current time."""
    data = io.BytesIO(content)
    files = {LABELS_NAME: "".join(f"{label}\n" for label in labels), MANIFEST_NAME: manifest.to_json()}
    with zipfile.ZipFile(data, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text.encode())
    return data.getvalue()
