"""Check of a model: that it opens, and passes its golden samples."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from edge_runtime.device.doctor.child import run_python
from edge_runtime.device.doctor.finding import Finding

# Some damaged files crash tflite-runtime, so a child process opens the model.
_VERIFY = """
import json, sys
from edge_runtime.errors import EdgeRuntimeError
try:
    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.golden import all_passed, verify_model
    with Classifier(sys.argv[1], require_signature=sys.argv[2] or None) as classifier:
        golden = classifier.model.manifest is not None and bool(classifier.model.manifest.golden)
        passed = all_passed(verify_model(classifier)) if golden else None
        result = {"passed": passed, "classes": len(classifier.labels), "backend": classifier.backend.to_dict()}
except EdgeRuntimeError as error:
    result = {"error": str(error)}
print(json.dumps(result))
"""


def check_model(model: str | os.PathLike[str], *, require_signature: str | os.PathLike[str] | None = None) -> Finding:
    """Open a model and run its golden samples.

    Args:
        model: Path of the .tflite file.
        require_signature: Path of a public key; the model must be signed with its private key.
    """
    path = Path(model)
    if not path.is_file():
        return Finding("model", "problem", f"{path} not found", f"ls -l {shlex.quote(str(path.parent))}")
    result = run_python(
        _VERIFY, str(path.absolute()), "" if require_signature is None else os.fspath(require_signature)
    )
    if result.crashed:
        found = f"{path.name} cannot be opened: {result.error}. Compare its hash with the original's, or copy it again"
        return Finding("model", "problem", found, f"sha256sum {shlex.quote(str(path))}")
    if result.error:  # a missing dependency, which has a finding of its own
        return Finding("model", "problem", f"{path.name} cannot be opened: {result.error}")
    if "error" in result.values:
        return Finding("model", "problem", f"{path.name} cannot be used: {result.values['error']}")
    backend = result.values["backend"]
    runs = f"{result.values['classes']} classes, {backend['name']}, INT8 kernels {backend['int8_kernels']}"
    if result.values["passed"] is None:
        found = f"{path.name} opens ({runs}), but has no golden samples to verify: try it on your own pictures"
        return Finding("model", "ok", found)
    if result.values["passed"]:
        return Finding("model", "ok", f"{path.name} is verified ({runs})")
    found = f"{path.name} opens ({runs}), but fails its golden samples"
    return Finding("model", "problem", found, f"edge-runtime verify {shlex.quote(str(path))} --int8-kernels off")
