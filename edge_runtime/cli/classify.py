"""``edge-runtime classify``: classify pictures."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from edge_runtime.cli.options.model import add_model, add_prediction, open_classifier
from edge_runtime.cli.options.values import add_command
from edge_runtime.errors import EdgeRuntimeError


def add(commands: Any) -> None:
    """Add the command."""
    classify = add_command(
        commands,
        "classify",
        "Classify pictures, or folders of pictures",
        _classify,
        examples=(
            "edge-runtime classify model_int8.tflite photo.jpg",
            "edge-runtime classify model_int8.tflite photos/ --top-k 1 --json",
            "edge-runtime classify mobilenet.tflite photo.jpg --labels labels.txt --mean 127.5 --std 127.5",
        ),
    )
    add_model(classify)
    classify.add_argument("pictures", nargs="+", metavar="PICTURE", help="A picture, or a folder of pictures")
    add_prediction(classify)
    classify.add_argument("--json", action="store_true", help="Print one line of JSON per picture")


def _classify(arguments: argparse.Namespace) -> int:
    from edge_runtime.sources.pictures import list_pictures, read_picture

    failed = 0
    with open_classifier(arguments) as classifier:
        for path in [path for given in arguments.pictures for path in list_pictures(given)]:
            try:
                picture = read_picture(path)
            except EdgeRuntimeError as error:
                print(f"edge-runtime: {error}", file=sys.stderr)
                failed += 1
                continue
            prediction = classifier.classify(picture, top_k=arguments.top_k, score_threshold=arguments.score_threshold)
            if arguments.json:
                print(json.dumps({"picture": str(path), **prediction.to_dict()}))
            else:
                best = ", ".join(f"{category.label} {category.score:.1%}" for category in prediction.categories)
                if prediction.is_unknown and best:
                    best = f"unknown ({best})"
                print(f"{path}: {best or 'unknown'}")
    return 1 if failed else 0
