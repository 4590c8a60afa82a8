"""ImageClassifier of the TensorFlow Lite Task Library, which reads the file's metadata: task_library.py MODEL."""

import cv2
from tflite_support.task import core, processor, vision
from worker import Classify, Frame, serve


def load(model: str) -> Classify:
    cv2.setNumThreads(1)
    options = vision.ImageClassifierOptions(
        base_options=core.BaseOptions(file_name=model, use_coral=False, num_threads=1),
        classification_options=processor.ClassificationOptions(max_results=1),
    )
    classifier = vision.ImageClassifier.create_from_options(options)

    def classify(frame: Frame) -> int:
        rgb = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # a variable, because TensorImage does not keep the pixels alive
        image = vision.TensorImage.create_from_array(rgb)
        return classifier.classify(image).classifications[0].categories[0].index

    return classify


serve("tflite-support", load)
