"""ImageClassifier of MediaPipe Tasks, which reads the file's metadata: mediapipe_tasks.py MODEL.

It has no setting for threads and runs the network on one thread.
"""

import cv2
import mediapipe as mp
from worker import Classify, Frame, serve


def load(model: str) -> Classify:
    cv2.setNumThreads(1)
    vision = mp.tasks.vision
    options = vision.ImageClassifierOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model),
        running_mode=vision.RunningMode.IMAGE,
        max_results=1,
    )
    classifier = vision.ImageClassifier.create_from_options(options)

    def classify(frame: Frame) -> int:
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
        return classifier.classify(image).classifications[0].categories[0].index

    return classify


serve("mediapipe", load)
