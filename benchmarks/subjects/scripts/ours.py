"""Classify one picture with edge_runtime, as in README: ours.py MODEL PICTURE."""

import sys

import cv2

from edge_runtime import Classifier

print(Classifier(sys.argv[1], num_threads=1).classify(cv2.imread(sys.argv[2])).top, flush=True)
