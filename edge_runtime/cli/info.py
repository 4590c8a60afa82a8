"""``edge-runtime info``: show what a model contains and how it runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.cli.options.model import add_model, open_classifier
from edge_runtime.cli.options.values import add_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.types import BackendInfo


def add(commands: Any) -> None:
    """Add the command."""
    info = add_command(
        commands,
        "info",
        "Show a model's classes, input, accuracy and backend",
        _info,
        examples=(
            "edge-runtime info model_int8.tflite",
            "edge-runtime info model_int8.tflite --json",
            "edge-runtime info mobilenet.tflite --labels labels.txt --mean 127.5 --std 127.5",
        ),
    )
    add_model(info)
    info.add_argument("--json", action="store_true", help="Print JSON")


def _info(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    with open_classifier(arguments) as classifier:
        model, backend = classifier.model, classifier.backend
    if arguments.json:
        facts = {**asdict(model), "path": str(model.path), "backend": backend.to_dict()}
        print(json.dumps(facts, indent=1, default=str))
        return 0
    contract = model.contract
    tensor = model.input_tensor
    rows = [
        ("model", f"{Path(model.path).name}, {model.size_bytes / 1024:.0f} KiB, sha256 {model.sha256[:12]}"),
        ("classes", f"{len(model.labels)}: {', '.join(model.labels[:8])}{', …' if len(model.labels) > 8 else ''}"),
        (
            "input",
            f"{contract.height}×{contract.width} {contract.color}, {contract.crop} crop, {contract.interpolation}, "
            f"{tensor.dtype}, mean {_joined(contract.mean)}, std {_joined(contract.std)}",
        ),
        ("output", f"{model.output_tensor.dtype}, activation {model.activation}"),
        ("backend", f"{backend.name} {backend.version}, {_threads(backend)}"),
        (
            "INT8 kernels",
            backend.int8_kernels + (f" ({backend.int8_kernels_reason})" if backend.int8_kernels_reason else ""),
        ),
    ]
    if model.thresholds:
        each = (f"{label} {threshold:.2f}" for label, threshold in zip(model.labels, model.thresholds, strict=True))
        rows.insert(4, ("thresholds", f"multi-label; a class is present from its score on: {', '.join(each)}"))
    if backend.delegated_ops is not None:
        rows.append(("XNNPACK", f"runs {backend.delegated_ops} of {backend.total_ops} operators"))
    rows += [("note", note) for note in backend.notes]
    if model.manifest:
        for measured in model.manifest.accuracy:
            int8 = f", INT8 {measured.int8:.1%}" if measured.int8 is not None else ""
            per_class = ", per class and photo" if model.thresholds else ""
            figures = f"FP32 {measured.fp32:.1%}{int8} on {measured.count} photos{per_class}"
            rows.append((f"accuracy ({measured.split})", figures))
        if model.manifest.temperature != 1:
            rows.append(("scores", f"calibrated on the validation set, temperature {model.manifest.temperature:g}"))
    if classifier.unknown_threshold is not None:
        rows.append(("unknown", f"below a certainty of {classifier.unknown_threshold:.3f}"))
    if model.manifest:
        rows += [(key, str(value)) for key, value in model.manifest.provenance.items() if not isinstance(value, dict)]
    _print_rows(rows)
    return 0


def _threads(backend: BackendInfo) -> str:
    origin = " (fastest in a sweep on this machine)" if backend.threads_from == "sweep" else ""
    return f"{backend.num_threads} thread{'s' * (backend.num_threads != 1)}{origin}"


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _joined(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
