"""Classify one picture with the bare interpreter and the XNNPACK INT8 kernels: bare_kernels.py MODEL PICTURE."""

import ctypes
import sys

import cv2
import numpy as np
from tflite_runtime import _pywrap_tensorflow_interpreter_wrapper as wrapper
from tflite_runtime.interpreter import Interpreter, OpResolverType


class Options(ctypes.Structure):
    _fields_ = (
        ("num_threads", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("weights_cache", ctypes.c_void_p),
        ("handle_variable_ops", ctypes.c_bool),
    )


class Delegate:
    def __init__(self) -> None:
        library = ctypes.PyDLL(wrapper.__file__)
        library.TfLiteXNNPackDelegateOptionsDefault.restype = Options
        library.TfLiteXNNPackDelegateCreate.restype = ctypes.c_void_p
        options = library.TfLiteXNNPackDelegateOptionsDefault()
        options.num_threads, options.flags = 1, 3  # QS8 and QU8
        self.pointer: int = library.TfLiteXNNPackDelegateCreate(ctypes.byref(options))

    def _get_native_delegate_pointer(self) -> int:
        return self.pointer


interpreter = Interpreter(
    model_path=sys.argv[1],
    num_threads=1,
    experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    experimental_delegates=[Delegate()],
)
interpreter.allocate_tensors()
picture = cv2.resize(cv2.imread(sys.argv[2]), (224, 224))
pixels = (cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.int16) - 128).astype(np.int8)
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
interpreter.invoke()
scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
print(int(scores.argmax()), flush=True)
