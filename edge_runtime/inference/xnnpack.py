"""Switches on the XNNPACK kernels for quantized models in the stock tflite-runtime 2.14.0.

That wheel's own delegate takes float models and leaves INT8 and UINT8 ones to slow kernels, although its XNNPACK has
fast kernels for them: they are only off by default. Its extension module exports the delegate's C functions
(``tensorflow/lite/delegates/xnnpack/xnnpack_delegate.h``), so a delegate with the flags QS8 and QU8 can be made
through `ctypes` and handed to the interpreter.

This reaches below the documented API, so it is done for exactly the version whose struct layout is known, after the
symbols were found, after the default options were found to be those of that version, and after a tiny INT8 model gave
the known answer in a child process (once for each machine and wheel; the outcome is remembered in the user's cache
folder). Whatever fails, the reason is said and the interpreter runs without it.
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
_SELF_TEST_ANSWER = (-24, 76, -28, -72)  # of the reference kernels
_SELF_TEST_TIMEOUT_S = 60.0


class _Options(ctypes.Structure):
    """``TfLiteXNNPackDelegateOptions`` of 2.14."""

    _fields_ = (
        ("num_threads", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("weights_cache", ctypes.c_void_p),
        ("handle_variable_ops", ctypes.c_bool),
    )


class QuantizedDelegate:
    """An XNNPACK delegate with the quantized kernels, as ``Interpreter(experimental_delegates=[…])`` takes it.

    It must outlive the interpreter, which keeps a reference to it.

    Raises:
        BackendError: This tflite-runtime has no such kernels, or isn't the version whose layout is known.
    """

    def __init__(self, *, num_threads: int) -> None:
        self._pointer: int | None = None
        library = _library()
        options = library.TfLiteXNNPackDelegateOptionsDefault()
        found = (options.num_threads, options.flags, options.weights_cache, options.handle_variable_ops)
        if found != (0, 0, None, False):
            raise BackendError(f"the delegate's default options are {found}, not those of {SUPPORTED_VERSION}")
        options.num_threads = num_threads
        options.flags |= _QS8 | _QU8
        self._library = library
        self._pointer = library.TfLiteXNNPackDelegateCreate(ctypes.byref(options))
        if not self._pointer:
            raise BackendError("XNNPACK made no delegate")

    def _get_native_delegate_pointer(self) -> int | None:
        """What `tflite_runtime.interpreter.Interpreter` asks a delegate for."""
        return self._pointer

    def __del__(self) -> None:
        if self._pointer:
            self._library.TfLiteXNNPackDelegateDelete(self._pointer)
            self._pointer = None


def unavailable_reason() -> str:
    """Why the quantized kernels can't be used here; empty when they can.

    The first call on a machine runs the self-test in a child process (a fraction of a second); later ones read its
    remembered outcome.
    """
    try:
        _library()
    except BackendError as error:
        return str(error)
    try:
        record = _record_path()
    except RuntimeError:  # a user without a home: each process tests
        return _tested_in_child(sys.executable)[0]
    known = read_record(record).get("reason")
    if isinstance(known, str):
        return known
    reason, final = _tested_in_child(sys.executable)
    if final:
        write_record(record, {"reason": reason})  # with a read-only home the next process tests again
    return reason


def self_test() -> str:
    """Runs the tiny model in this process with the delegate; returns what is wrong, empty when nothing is."""
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
    answer = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].tolist()
    # The kernels round differently from the reference ones; 2 steps is what a right answer stays within.
    if max(abs(a - b) for a, b in zip(answer, _SELF_TEST_ANSWER, strict=True)) > 2:
        return f"the self-test expected about {list(_SELF_TEST_ANSWER)} and got {answer}"
    return ""


def _library() -> ctypes.PyDLL:
    try:
        import tflite_runtime
        from tflite_runtime import _pywrap_tensorflow_interpreter_wrapper as wrapper
    except ImportError as error:
        raise BackendError(f"tflite_runtime can't be imported ({error})") from error
    if tflite_runtime.__version__ != SUPPORTED_VERSION:
        raise BackendError(f"known for tflite-runtime {SUPPORTED_VERSION} only, this is {tflite_runtime.__version__}")
    library = ctypes.PyDLL(wrapper.__file__)
    missing = [name for name in _SYMBOLS if not hasattr(library, name)]
    if missing:
        raise BackendError(f"this wheel of tflite-runtime was built without XNNPACK (no {missing[0]})")
    library.TfLiteXNNPackDelegateOptionsDefault.restype = _Options
    library.TfLiteXNNPackDelegateOptionsDefault.argtypes = []
    library.TfLiteXNNPackDelegateCreate.restype = ctypes.c_void_p
    library.TfLiteXNNPackDelegateCreate.argtypes = [ctypes.POINTER(_Options)]
    library.TfLiteXNNPackDelegateDelete.restype = None
    library.TfLiteXNNPackDelegateDelete.argtypes = [ctypes.c_void_p]
    return library


@cache
def _tested_in_child(python: str) -> tuple[str, bool]:
    """Returns the reason, and whether it will stay true (a time-out or a failed start may not).

    Once in a process, also where nothing can be remembered: it may have lost the right to start others since.
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
