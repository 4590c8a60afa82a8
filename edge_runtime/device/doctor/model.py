"""Whether a model opens here, and pixels and scores come out right."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from edge_runtime.device.doctor.finding import Finding, ask

# Several ways in which a file can be broken end the process in tflite-runtime, so a child opens it.
_VERIFY = """
import json, sys
from edge_runtime.errors import EdgeRuntimeError, ManifestError
try:
    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.golden import all_passed, verify_model
    with Classifier(sys.argv[1], require_signature=sys.argv[2] or None) as classifier:
        golden = classifier.model.manifest is not None and bool(classifier.model.manifest.golden)
        passed = all_passed(verify_model(classifier)) if golden else None
        answer = {"passed": passed, "classes": len(classifier.labels), "backend": classifier.backend.to_dict()}
except EdgeRuntimeError as error:
    answer = {"error": str(error)}
print(json.dumps(answer))
"""


def check_model(model: str | os.PathLike[str], *, require_signature: str | os.PathLike[str] | None = None) -> Finding:
    """Opens a model in a child process, as `Classifier` does, and runs its golden samples."""
    path = Path(model)
    if not path.is_file():
        return Finding("model", "problem", f"there is no file {path}", f"ls -l {shlex.quote(str(path.parent))}")
    answer = ask(_VERIFY, str(path.absolute()), "" if require_signature is None else os.fspath(require_signature))
    if answer.error.startswith("it ends the process"):
        found = f"{path.name} can't be opened: {answer.error}. Is its hash the original's? If not, copy it again"
        return Finding("model", "problem", found, f"sha256sum {shlex.quote(str(path))}")
    if answer.error:  # something that it needs, and that has a finding of its own
        return Finding("model", "problem", f"{path.name} can't be opened: {answer.error}")
    if "error" in answer.values:
        return Finding("model", "problem", f"{path.name} can't be used: {answer.values['error']}")
    backend = answer.values["backend"]
    runs = f"{answer.values['classes']} classes, {backend['name']}, INT8 kernels {backend['int8_kernels']}"
    if answer.values["passed"] is None:
        found = f"{path.name} opens ({runs}), but it carries no golden samples: try it on your own pictures"
        return Finding("model", "ok", found)
    if answer.values["passed"]:
        return Finding("model", "ok", f"{path.name} is verified ({runs})")
    found = f"{path.name} opens ({runs}), but its golden samples come out otherwise"
    return Finding("model", "problem", found, f"edge-runtime verify {shlex.quote(str(path))} --int8-kernels off")
