"""The TensorFlow Lite interpreter behind a model: which backend, how many threads, which kernels.

Backends, in order: the one that the caller names; else ``tflite_runtime``; else ``ai_edge_litert``. Each that is passed
over says why in `BackendInfo.notes`; when none works, construction fails with all the reasons.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

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
"""``"auto"``: on where the self-test passes; ``"on"``: without the self-test, and an error where they can't be had;
``"off"``: the kernels that the backend takes by itself. ``EDGE_RUNTIME_INT8_KERNELS`` sets what ``"auto"`` means."""


class Interpreter:
    """One loaded model. Not thread-safe; `edge_runtime.Classifier` adds the lock."""

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
            raise BackendError(f"Expected num_threads to be a whole number of at least 1, got {num_threads!r}.")
        if int8_kernels not in ("auto", "on", "off"):
            raise BackendError(f"Expected int8_kernels to be 'auto', 'on' or 'off', got {int8_kernels!r}.")
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
            # They don't take every network: one with a layer whose outputs are all but zero is refused.
            kernels, reason = "off", f"they don't take this model: {_first_line(error)}"
            try:
                self._interpreter, self._input, self._output = _loaded(module, plain, model)
            except _REFUSALS as second:
                raise self._refusal(second) from second
        self._info = BackendInfo(name, version, num_threads, kernels, reason, notes=notes, threads_from=threads_from)

    def _refusal(self, error: Exception) -> BackendError:
        backend, version, model = self._described
        return BackendError(f"{backend} {version} refuses {model}: {_first_line(error)}")

    @cached_property
    def info(self) -> BackendInfo:
        """What runs the model. Counting delegated operations takes milliseconds, so it is done when it is asked for."""
        total, left = _undelegated(self._interpreter)
        if total is None:
            return self._info
        return replace(self._info, delegated_ops=total - len(left), total_ops=total, undelegated=left)

    def invoke(self) -> None:
        """Runs the network on the input tensor as it stands; releases the GIL. No view may be held meanwhile.

        Raises:
            BackendError: The backend can't run the model after all.
        """
        try:
            self._interpreter.invoke()
        except _REFUSALS as error:
            raise self._refusal(error) from error

    def input(self) -> NDArray[Any]:
        """The input tensor's memory, to be written in place and let go before `invoke`."""
        return self._input()

    def output_view(self) -> NDArray[Any]:
        """The first output's memory without the batch dimension, to be let go before `invoke`."""
        view: NDArray[Any] = self._output()[0]
        return view

    def output(self) -> NDArray[Any]:
        """A copy of the scores' tensor, without the batch dimension."""
        copy: NDArray[Any] = self._output()[0].copy()
        return copy

    def close(self) -> None:
        """Frees the model; nothing can be run afterwards."""
        del self._interpreter, self._input, self._output


def default_num_threads() -> int:
    """One less than the cores that this process may use, from 1 to 4.

    The kernels' threads wait for one another by spinning: where capture and other work take a core away from them, an
    inference on all cores can take many times as long.
    """
    return max(1, min(4, usable_cores() - 1))


def installed_backends() -> tuple[str, ...]:
    """Those that can be used, in the order in which they are chosen."""
    return tuple(name for name in BACKENDS if not _problem_with(name))


def choose_backend(named: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Returns the backend to use and why earlier ones were passed over.

    Raises:
        BackendError: The named one can't be used, or none can.
    """
    if named is not None and named not in BACKENDS:
        raise BackendError(f"Expected backend to be one of {', '.join(BACKENDS)}, got {named!r}.")
    notes: list[str] = []
    for name in [named] if named else BACKENDS:
        problem = _problem_with(name)
        if not problem:
            return name, tuple(notes)
        notes.append(f"{name}: {problem}")
    raise BackendError("No TensorFlow Lite interpreter can be used. " + " ".join(notes))


def _problem_with(name: str) -> str:
    if find_spec(name) is None:
        return f"not installed; {_INSTALL[name]}."
    if name == "tflite_runtime" and int(np.__version__.split(".")[0]) >= 2:
        return (
            f"Expected numpy 1 for tflite-runtime, got numpy {np.__version__}: "
            f"install it by: pip install 'numpy<2', or use LiteRT: {_INSTALL['ai_edge_litert']}."
        )
    try:
        import_module(f"{name}.interpreter")
    except ImportError as error:
        return f"installed, but it can't be imported ({error}); install it again."
    return ""


def _choose_threads(model: ModelFile, name: str, version: str) -> tuple[int, str]:
    """What a sweep found best here, or else the default; and which of the two it is."""
    remembered = remembered_threads(model.sha256, name, version)
    return (default_num_threads(), "default") if remembered is None else (remembered, "sweep")


def _version_of(name: str) -> str:
    return str(getattr(import_module(name), "__version__", "unknown"))


def _loaded(
    module: Any, options: dict[str, Any], model: ModelFile
) -> tuple[Any, Callable[[], NDArray[Any]], Callable[[], NDArray[Any]]]:
    """The interpreter, and views of its input and of the output that is meant."""
    interpreter = module.Interpreter(**options)
    interpreter.allocate_tensors()
    picture = interpreter.get_input_details()[0]
    scores = interpreter.get_output_details()[model.output_index]
    for details, tensor in ((picture, model.input_tensor), (scores, model.output_tensor)):
        if tuple(details["shape"]) != tensor.shape:  # computed anew, whatever the file says
            raise ValueError(f"the file says {tensor.shape} where the network has {tuple(details['shape'])}")
    return interpreter, interpreter.tensor(picture["index"]), interpreter.tensor(scores["index"])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0]


def _add_int8_kernels(
    options: dict[str, Any], module: Any, name: str, model: ModelFile, wish: Int8Kernels
) -> tuple[str, str]:
    """Completes the interpreter's options; returns the state of the kernels and the reason where they are off."""
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
        raise BackendError(f"The XNNPACK kernels for INT8 can't be switched on: {reason}. Use int8_kernels='auto'.")
    if reason:
        return "off", reason
    options["experimental_op_resolver_type"] = module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return "on", ""


def _undelegated(interpreter: Any) -> tuple[int | None, tuple[str, ...]]:
    """How many operations there are, None where the backend doesn't tell, and the names of those no delegate took.

    The interpreter lists the original operations and, after them, one DELEGATE for each group that a delegate took;
    the group is what lies between the DELEGATE's outputs and its inputs.
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
