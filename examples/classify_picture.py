"""Classifies one picture: python classify_picture.py MODEL.tflite PICTURE."""

from __future__ import annotations

import sys

import cv2

from edge_runtime import Classifier

model, picture = sys.argv[1:]
prediction = Classifier(model).classify(cv2.imread(picture))
for category in prediction.categories:
    print(f"{category.label}: {category.score:.1%}")
