"""The TensorFlow Lite interpreter of a model: backend, threads and kernels.

Backends, in order: the one that the caller names, otherwise ``tflite_runtime``, otherwise ``ai_edge_litert``.
`BackendInfo.notes` says why a backend was skipped; if none works, construction fails with all the reasons.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

from edge_runtime.errors import BackendError
from edge_runtime.inference.device_cache import remembered_threads, usable_cores
from edge_runtime.types import BackendInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from edge_runtime.model.file import ModelFile

_INSTALL = {
    "tflite_runtime": "pip install tflite-runtime (Linux, Python 3.11 or older)",
    "ai_edge_litert": "pip install 'edge-image-sdk[litert]'",
}
BACKENDS = tuple(_INSTALL)
_SWITCH = "EDGE_RUNTIME_INT8_KERNELS"
_REFUSALS = (ValueError, RuntimeError, MemoryError)
Int8Kernels = Literal["auto", "on", "off"]
"""``"auto"``: on if the self-test passes; ``"on"``: no self-test, and an error if they are unavailable; ``"off"``: the
backend's default kernels. The environment variable ``EDGE_RUNTIME_INT8_KERNELS`` overrides ``"auto"``."""


class Interpreter:
    """A loaded model. Not thread-safe; `edge_runtime.Classifier` adds the lock.

    Args:
        model: Model file that was read from ``content``.
        content: Bytes of the model file.
        backend: Name of the backend; default: the first that works.
        num_threads: Number of kernel threads, at least 1; default: the remembered or the default number.
        int8_kernels: Use of the XNNPACK kernels for quantized models.

    Raises:
        BackendError: An argument is invalid, no interpreter is available, or it rejects the model.
    """

    def __init__(
        self,
        model: ModelFile,
        content: bytes,
        *,
        backend: str | None = None,
        num_threads: int | None = None,
        int8_kernels: Int8Kernels = "auto",
    ) -> None:
        if num_threads is not None and (not isinstance(num_threads, int) or num_threads < 1):
            raise BackendError(f"num_threads must be an integer of at least 1, got {num_threads!r}.")
        if int8_kernels not in get_args(Int8Kernels):
            raise BackendError(f"int8_kernels must be one of {', '.join(get_args(Int8Kernels))}, got {int8_kernels!r}.")
        name, notes = choose_backend(backend)
        module, version = import_module(f"{name}.interpreter"), _version_of(name)
        threads_from = "caller"
        if num_threads is None:
            num_threads, threads_from = _choose_threads(model, name, version)
        plain: dict[str, Any] = {"model_content": content, "num_threads": num_threads}
        options = dict(plain)
        kernels, reason = _add_int8_kernels(options, module, name, model, int8_kernels)
        self._described = name, version, model.path.name
        try:
            self._interpreter, self._input, self._output = _loaded(module, options, model)
        except _REFUSALS as error:
            if kernels != "on" or int8_kernels == "on":
                raise self._refusal(error) from error
            # XNNPACK rejects some networks, such as those with a layer whose outputs are almost zero.
            kernels, reason = "off", f"they reject this model: {_first_line(error)}"
            try:
                self._interpreter, self._input, self._output = _loaded(module, plain, model)
            except _REFUSALS as second:
                raise self._refusal(second) from second
        self._info = BackendInfo(name, version, num_threads, kernels, reason, notes=notes, threads_from=threads_from)

    def _refusal(self, error: Exception) -> BackendError:
        backend, version, model = self._described
        return BackendError(f"{backend} {version} rejects {model}: {_first_line(error)}")

    @cached_property
    def info(self) -> BackendInfo:
        """Backend and configuration; computed on first access, as counting delegated operations takes milliseconds."""
        total, left = _undelegated(self._interpreter)
        if total is None:
            return self._info
        return replace(self._info, delegated_ops=total - len(left), total_ops=total, undelegated=left)

    def invoke(self) -> None:
        """Run the network on the current input tensor without holding the GIL; no view may exist meanwhile.

        Raises:
            BackendError: The backend fails to run the model.
        """
        try:
            self._interpreter.invoke()
        except _REFUSALS as error:
            raise self._refusal(error) from error

    def input(self) -> NDArray[Any]:
        """Return a writable view of the input tensor, in its dtype and shape; release it before `invoke`."""
        return self._input()

    def output_view(self) -> NDArray[Any]:
        """Return a view of the scores, shape (classes,) in the output tensor's dtype; release it before `invoke`."""
        view: NDArray[Any] = self._output()[0]
        return view

    def output(self) -> NDArray[Any]:
        """Return a copy of the scores, shape (classes,) in the output tensor's dtype."""
        copy: NDArray[Any] = self._output()[0].copy()
        return copy

    def close(self) -> None:
        """Release the model; nothing can be run afterwards."""
        del self._interpreter, self._input, self._output


def default_num_threads() -> int:
    """Return one less than the number of cores that this process may use, 1 to 4.

    Kernel threads spin while they wait: if capture takes one of the cores, inference on all takes many times longer.
    """
    return max(1, min(4, usable_cores() - 1))


def installed_backends() -> tuple[str, ...]:
    """Return the names of the usable backends, in order of preference."""
    return tuple(name for name in BACKENDS if not _problem_with(name))


def choose_backend(named: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the backend to use, and the reasons that preferred ones were skipped.

    Raises:
        BackendError: The named backend, or every backend, cannot be used.
    """
    if named is not None and named not in BACKENDS:
        raise BackendError(f"backend must be one of {', '.join(BACKENDS)}, got {named!r}.")
    notes: list[str] = []
    for name in [named] if named else BACKENDS:
        problem = _problem_with(name)
        if not problem:
            return name, tuple(notes)
        notes.append(f"{name}: {problem}")
    raise BackendError("No TensorFlow Lite interpreter is available. " + " ".join(notes))


def _problem_with(name: str) -> str:
    if find_spec(name) is None:
        return f"not installed. Install it with {_INSTALL[name]}."
    import numpy  # here: the commands read BACKENDS for their help, which needs no numpy

    if name == "tflite_runtime" and int(numpy.__version__.split(".")[0]) >= 2:
        return (
            f"it needs NumPy 1, and NumPy {numpy.__version__} is installed. "
            f"Run pip install 'numpy<2', or install LiteRT with {_INSTALL['ai_edge_litert']}."
        )
    try:
        import_module(f"{name}.interpreter")
    except ImportError as error:
        return f"it is installed but cannot be imported ({error}). Reinstall it."
    return ""


def _choose_threads(model: ModelFile, name: str, version: str) -> tuple[int, str]:
    """Return the best number of a sweep on this machine, otherwise the default, and which of the two it is."""
    remembered = remembered_threads(model.sha256, name, version)
    return (default_num_threads(), "default") if remembered is None else (remembered, "sweep")


def _version_of(name: str) -> str:
    return str(getattr(import_module(name), "__version__", "unknown"))


def _loaded(
    module: Any, options: dict[str, Any], model: ModelFile
) -> tuple[Any, Callable[[], NDArray[Any]], Callable[[], NDArray[Any]]]:
    """Return the interpreter, and functions that view its input and its scores."""
    interpreter = module.Interpreter(**options)
    interpreter.allocate_tensors()
    picture = interpreter.get_input_details()[0]
    scores = interpreter.get_output_details()[model.output_index]
    for details, tensor in ((picture, model.input_tensor), (scores, model.output_tensor)):
        if tuple(details["shape"]) != tensor.shape:  # the interpreter computes shapes itself
            raise ValueError(f"the file declares shape {tensor.shape}, but the network has {tuple(details['shape'])}")
    return interpreter, interpreter.tensor(picture["index"]), interpreter.tensor(scores["index"])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]


def _add_int8_kernels(
    options: dict[str, Any], module: Any, name: str, model: ModelFile, wish: Int8Kernels
) -> tuple[str, str]:
    """Complete the interpreter's options; return the state of the kernels, and the reason if they are off."""
    if not model.is_quantized:
        return "not needed", ""
    switched_off = "switched off by the caller"
    if wish == "auto" and os.environ.get(_SWITCH) in ("on", "off"):
        wish = os.environ[_SWITCH]  # type: ignore[assignment]
        switched_off = f"switched off by {_SWITCH}"
    if name != "tflite_runtime":
        if wish == "off":
            options["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            return "off", switched_off
        return "built in", ""
    if wish == "off":
        return "off", switched_off
    from edge_runtime.inference import xnnpack

    reason = xnnpack.unavailable_reason() if wish == "auto" else ""
    if not reason:
        try:
            options["experimental_delegates"] = [xnnpack.QuantizedDelegate(num_threads=options["num_threads"])]
        except BackendError as error:
            reason = str(error)
    if reason and wish == "on":
        raise BackendError(f"The XNNPACK kernels for INT8 are not available: {reason}. Set int8_kernels to 'auto'.")
    if reason:
        return "off", reason
    options["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return "on", ""


def _undelegated(interpreter: Any) -> tuple[int | None, tuple[str, ...]]:
    """Return the number of operations (None if not reported), and the names of those that no delegate runs.

    The interpreter lists the original operations, followed by one DELEGATE per delegated group; the group consists of
    the operations between the DELEGATE's inputs and outputs.
    """
    try:
        listed = interpreter._get_ops_details()
        nodes = [node for node in listed if node["op_name"] != "DELEGATE"]
        producer = {int(t): i for i, node in enumerate(nodes) for t in node["outputs"]}
        taken: set[int] = set()
        for delegate in (node for node in listed if node["op_name"] == "DELEGATE"):
            given = {int(t) for t in delegate["inputs"]}
            wanted = [int(t) for t in delegate["outputs"]]
            while wanted:
                tensor = wanted.pop()
                node = producer.get(tensor)
                if tensor in given or node is None or node in taken:
                    continue
                taken.add(node)
                wanted += [int(t) for t in nodes[node]["inputs"]]
        return len(nodes), tuple(str(node["op_name"]) for i, node in enumerate(nodes) if i not in taken)
    except (AttributeError, KeyError, TypeError, ValueError):  # a private function, absent or changed
        return None, ()
