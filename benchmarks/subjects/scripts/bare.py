"""Classify one picture with the bare interpreter, as in most tutorials: bare.py MODEL PICTURE."""

import sys

import cv2
import numpy as np
from tflite_runtime.interpreter import Interpreter

interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
details = interpreter.get_input_details()[0]
picture = cv2.resize(cv2.imread(sys.argv[2]), (224, 224))
pixels = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.float32) - 128
pixels = pixels.astype(np.int8) if details["dtype"] == np.int8 else pixels / 127.5
interpreter.set_tensor(details["index"], pixels[None].astype(details["dtype"]))
interpreter.invoke()
scores = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
print(int(scores.argmax()), flush=True)
