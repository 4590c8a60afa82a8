"""``edge-runtime classify``: classifies pictures."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from edge_runtime.cli.options.model import add_answer, add_model, open_classifier
from edge_runtime.cli.options.values import add_command
from edge_runtime.errors import EdgeRuntimeError


def add(commands: Any) -> None:
    """Adds the command."""
    classify = add_command(commands, "classify", "classify pictures", _classify)
    add_model(classify)
    classify.add_argument("pictures", nargs="+", metavar="PICTURE", help="a picture, or a folder of them")
    add_answer(classify)
    classify.add_argument("--json", action="store_true", help="one line of JSON for each picture")


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
                answers = ", ".join(f"{category.label} {category.score:.1%}" for category in prediction.categories)
                if prediction.is_unknown and answers:
                    answers = f"unknown ({answers})"
                print(f"{path}: {answers or 'unknown'}")
    return 1 if failed else 0
