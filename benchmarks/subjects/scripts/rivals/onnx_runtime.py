"""ONNX Runtime, for a converted network with RGB input from -1 to 1: onnx_runtime.py ONNX."""

import cv2
import numpy as np
import onnxruntime
from worker import Classify, Frame, serve


def load(model: str) -> Classify:
    cv2.setNumThreads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    _, height, width, _ = given.shape

    def classify(frame: Frame) -> int:
        pixels = cv2.cvtColor(cv2.resize(frame, (width, height)), cv2.COLOR_BGR2RGB)
        if given.type == "tensor(int8)":  # scale 1/127.5 and zero point 0 cancel the normalization
            pixels = (pixels.astype(np.int16) - 128).astype(np.int8)
        else:
            pixels = (pixels.astype(np.float32) - 128) / np.float32(127.5)
        (scores,) = session.run(None, {given.name: np.expand_dims(pixels, axis=0)})
        return int(np.argmax(scores))

    return classify


serve("onnxruntime", load)
