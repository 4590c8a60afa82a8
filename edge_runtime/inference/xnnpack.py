"""Enables the XNNPACK kernels for quantized models in the stock tflite-runtime 2.14.0.

That wheel's default delegate runs float models only, and leaves INT8 and UINT8 models to slow kernels, although its
XNNPACK includes fast ones that are merely off by default. Its extension module exports the delegate's C functions
(``tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h``), so `ctypes` can create a delegate with the flags QS8 and
QU8 for the interpreter.

This bypasses the documented API, so it requires the one version whose struct layout is known, its symbols and default
options, and a tiny INT8 model that gives the known result in a child process (once per machine and wheel; remembered in
the user's cache folder). If a check fails, the interpreter runs without these kernels and reports the reason.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from edge_runtime.errors import BackendError
from edge_runtime.inference.device_cache import read_record, record_path, write_record

SUPPORTED_VERSION = "2.14.0"
_QS8, _QU8 = 1, 2
_SYMBOLS = ("TfLiteXNNPackDelegateOptionsDefault", "TfLiteXNNPackDelegateCreate", "TfLiteXNNPackDelegateDelete")
_SELF_TEST_MODEL = Path(__file__).with_name("selftest_int8.tflite")
_SELF_TEST_RESULT = (-24, 76, -28, -72)  # result of the reference kernels
_SELF_TEST_TIMEOUT_S = 60.0


class _Options(ctypes.Structure):
    """``TfLiteXNNPackDelegateOptions`` of version 2.14."""

    _fields_ = (
        ("num_threads", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("weights_cache", ctypes.c_void_p),
        ("handle_variable_ops", ctypes.c_bool),
    )


class QuantizedDelegate:
    """XNNPACK delegate with quantized kernels, for ``Interpreter(experimental_delegates=[…])``.

    It must outlive the interpreter, which keeps a reference to it.

    Raises:
        BackendError: This tflite-runtime is not version 2.14.0, or was built without these kernels.
    """

    def __init__(self, *, num_threads: int) -> None:
        self._pointer: int | None = None
        library = _library()
        options = library.TfLiteXNNPackDelegateOptionsDefault()
        found = (options.num_threads, options.flags, options.weights_cache, options.handle_variable_ops)
        if found != (0, 0, None, False):
            raise BackendError(f"the delegate's default options are {found}, unlike in version {SUPPORTED_VERSION}")
        options.num_threads = num_threads
        options.flags |= _QS8 | _QU8
        self._library = library
        self._pointer = library.TfLiteXNNPackDelegateCreate(ctypes.byref(options))
        if not self._pointer:
            raise BackendError("XNNPACK failed to create a delegate")

    def _get_native_delegate_pointer(self) -> int | None:
        """Return the pointer that `tflite_runtime.interpreter.Interpreter` requests from a delegate."""
        return self._pointer

    def __del__(self) -> None:
        if self._pointer:
            self._library.TfLiteXNNPackDelegateDelete(self._pointer)
            self._pointer = None


def unavailable_reason() -> str:
    """Return the reason that the quantized kernels cannot be used here; empty if they can.

    The first call on a machine runs the self-test in a child process (a fraction of a second); later calls read the
    remembered result.
    """
    try:
        _library()
    except BackendError as error:
        return str(error)
    try:
        record = _record_path()
    except RuntimeError:  # no home folder: each process runs the self-test
        return _tested_in_child(sys.executable)[0]
    known = read_record(record).get("reason")
    if isinstance(known, str):
        return known
    reason, final = _tested_in_child(sys.executable)
    if final:
        write_record(record, {"reason": reason})  # in a read-only home, the next process tests again
    return reason


def self_test() -> str:
    """Run the tiny model with the delegate in this process; return what is wrong, or an empty string."""
    import numpy as np
    from tflite_runtime.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_path=str(_SELF_TEST_MODEL),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_delegates=[QuantizedDelegate(num_threads=1)],
    )
    interpreter.allocate_tensors()
    pixels = ((np.arange(192) * 37) % 256 - 128).astype(np.int8).reshape(1, 8, 8, 3)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    result = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].tolist()
    # XNNPACK rounds differently from the reference kernels; correct results are within 2 steps.
    if max(abs(a - b) for a, b in zip(result, _SELF_TEST_RESULT, strict=True)) > 2:
        return f"the self-test returned {result} instead of about {list(_SELF_TEST_RESULT)}"
    return ""


def _library() -> ctypes.PyDLL:
    try:
        import tflite_runtime
        from tflite_runtime import _pywrap_tensorflow_interpreter_wrapper as wrapper
    except ImportError as error:
        raise BackendError(f"tflite_runtime cannot be imported ({error})") from error
    if tflite_runtime.__version__ != SUPPORTED_VERSION:
        raise BackendError(
            f"they need tflite-runtime {SUPPORTED_VERSION}, and {tflite_runtime.__version__} is installed"
        )
    library = ctypes.PyDLL(wrapper.__file__)
    missing = [name for name in _SYMBOLS if not hasattr(library, name)]
    if missing:
        raise BackendError(f"this tflite-runtime wheel was built without XNNPACK (no {missing[0]})")
    library.TfLiteXNNPackDelegateOptionsDefault.restype = _Options
    library.TfLiteXNNPackDelegateOptionsDefault.argtypes = []
    library.TfLiteXNNPackDelegateCreate.restype = ctypes.c_void_p
    library.TfLiteXNNPackDelegateCreate.argtypes = [ctypes.POINTER(_Options)]
    library.TfLiteXNNPackDelegateDelete.restype = None
    library.TfLiteXNNPackDelegateDelete.argtypes = [ctypes.c_void_p]
    return library


@cache
def _tested_in_child(python: str) -> tuple[str, bool]:
    """Return the reason, and whether it is permanent (unlike a timeout or a failed start).

    Cached, even if nothing can be stored, because this process may lose the right to start others later.
    """
    import subprocess

    try:
        child = subprocess.run(
            [python, "-c", "from edge_runtime.inference.xnnpack import self_test; print('reason:' + self_test())"],
            capture_output=True,
            text=True,
            timeout=_SELF_TEST_TIMEOUT_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the self-test could not be run ({error})", False
    for line in child.stdout.splitlines():
        if line.startswith("reason:"):
            return line.removeprefix("reason:"), True
    last = (child.stderr.strip().splitlines() or ["no message"])[-1]
    return f"the self-test ended with exit status {child.returncode} ({last})", True


def _record_path() -> Path:
    import platform

    from tflite_runtime import _pywrap_tensorflow_interpreter_wrapper as wrapper

    stat = Path(wrapper.__file__).stat()
    return record_path(
        "xnnpack", f"{wrapper.__file__}|{stat.st_size}|{stat.st_mtime_ns}|{platform.machine()}|{platform.node()}"
    )
