"""Loop of the tflite-runtime tutorials, for a network with RGB input from -1 to 1: hand_loop.py MODEL."""

from importlib.util import find_spec

import cv2
import numpy as np
from worker import Classify, Frame, serve

if find_spec("tflite_runtime"):
    from tflite_runtime.interpreter import Interpreter

    PACKAGE = "tflite-runtime"
else:
    from ai_edge_litert.interpreter import Interpreter

    PACKAGE = "ai-edge-litert"


def load(model: str) -> Classify:
    cv2.setNumThreads(1)
    interpreter = Interpreter(model_path=model, num_threads=1)
    interpreter.allocate_tensors()
    given, answer = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    _, height, width, _ = given["shape"]

    def classify(frame: Frame) -> int:
        pixels = cv2.cvtColor(cv2.resize(frame, (width, height)), cv2.COLOR_BGR2RGB)
        if given["dtype"] == np.int8:  # scale 1/127.5 and zero point 0 cancel the normalization
            pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
        else:
            pixels = (pixels.astype(np.float32) - 128) / np.float32(127.5)
        interpreter.set_tensor(given["index"], np.expand_dims(pixels, axis=0))
        interpreter.invoke()
        return int(np.argmax(interpreter.get_tensor(answer["index"])[0]))

    return classify


serve(PACKAGE, load)
