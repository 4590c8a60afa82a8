"""OpenCV's DNN module, for a network with RGB input from -1 to 1: opencv_dnn.py MODEL."""

import cv2
import numpy as np
from worker import Classify, Frame, serve


def load(model: str) -> Classify:
    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromTFLite(model)

    def classify(frame: Frame) -> int:
        blob = cv2.dnn.blobFromImage(frame, 1 / 127.5, (224, 224), (128, 128, 128), swapRB=True)
        network.setInput(blob)
        return int(np.argmax(network.forward()))

    return classify


serve("opencv-python-headless", load)
