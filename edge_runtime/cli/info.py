"""``edge-runtime info``: says what a model is and what runs it."""

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
    """Adds the command."""
    info = add_command(commands, "info", "say what a model is and what runs it", _info)
    add_model(info)
    info.add_argument("--json", action="store_true", help="as JSON")


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
        ("backend", f"{backend.name} {backend.version}, {backend.num_threads} threads{_remembered(backend)}"),
        (
            "INT8 kernels",
            backend.int8_kernels + (f" ({backend.int8_kernels_reason})" if backend.int8_kernels_reason else ""),
        ),
    ]
    if model.thresholds:
        each = (f"{label} {threshold:.2f}" for label, threshold in zip(model.labels, model.thresholds, strict=True))
        rows.insert(4, ("thresholds", f"a photo may show several classes, each from its score on: {', '.join(each)}"))
    if backend.delegated_ops is not None:
        rows.append(("XNNPACK", f"took {backend.delegated_ops} of {backend.total_ops} operations"))
    rows += [("note", note) for note in backend.notes]
    if model.manifest:
        for measured in model.manifest.accuracy:
            int8 = f", INT8 {measured.int8:.1%}" if measured.int8 is not None else ""
            per_class = ", of each class of each photo" if model.thresholds else ""
            figures = f"FP32 {measured.fp32:.1%}{int8} on {measured.count} photos{per_class}"
            rows.append((f"accuracy ({measured.split})", figures))
        if model.manifest.temperature != 1:
            rows.append(("scores", f"calibrated on validation photos, temperature {model.manifest.temperature:g}"))
    if classifier.unknown_threshold is not None:
        rows.append(("unknown", f"below a certainty of {classifier.unknown_threshold:.3f}"))
    if model.manifest:
        rows += [(key, str(value)) for key, value in model.manifest.provenance.items() if not isinstance(value, dict)]
    _print_rows(rows)
    return 0


def _remembered(backend: BackendInfo) -> str:
    return " (the best in a sweep on this machine)" if backend.threads_from == "sweep" else ""


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _joined(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
