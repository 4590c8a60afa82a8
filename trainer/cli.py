"""``edge-trainer``: the command line, a thin twin of the API. Results on stdout, progress and messages on stderr."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeRuntimeError
from trainer.environment import check_packages
from trainer.errors import OutputFolderError, TrainerError

if TYPE_CHECKING:
    from collections.abc import Sequence


_PHOTOS = "a folder (CLASS/* or {train,val,test}/CLASS/*), a list (.csv, .jsonl) or another program's export"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0, 1 for an error, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        check_packages()
        return int(arguments.command(arguments))
    except (TrainerError, EdgeRuntimeError) as error:
        if arguments.traceback:
            raise
        print(f"edge-trainer: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("edge-trainer: stopped; the same command goes on from the last finished stage.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    from edge_runtime import __version__

    parser = argparse.ArgumentParser(
        prog="edge-trainer", description="Turns a folder of photos into a full-INT8 TensorFlow Lite model."
    )
    parser.add_argument("--version", action="version", version=f"edge-trainer {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    train = _command(commands, "train", "train, quantize, check and report", _train)
    train.add_argument("photos", metavar="PHOTOS", help=_PHOTOS)
    train.add_argument("--to", required=True, metavar="RUN", help="a new folder, or a run that was stopped")
    train.add_argument(
        "--recipe",
        default="default",
        metavar="NAME|FILE",
        help="a built-in one or a TOML file (default: %(default)s)",
    )
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for example finetune.epochs=10")
    train.add_argument("--backbone", metavar="NAME", help="--set model.backbone=NAME; see: edge-trainer backbones")
    train.add_argument("--weights", metavar="imagenet|none|FILE", help="--set model.weights=…")
    train.add_argument(
        "--teacher", metavar="NAME|RUN|FILE", help="distil from a backbone, a finished run or a .keras file"
    )
    train.add_argument("--keep-macs", type=float, metavar="SHARE", help="prune channels to this share, as 0.5")
    train.add_argument("--sparsity", type=float, metavar="SHARE", help="set this share of the weights to zero, as 0.75")
    train.add_argument("--io", choices=("int8", "uint8"), help="of the INT8 model's input and output; default: int8")
    _add_gate(train)

    check = _command(commands, "check", "look photos over before training", _check)
    check.add_argument("photos", metavar="PHOTOS", help=_PHOTOS)
    check.add_argument("--page", metavar="FILE", help="write a page with the pictures, as check.html")
    check.add_argument("--json", nargs="?", const="-", metavar="FILE", help="write JSON; without FILE, on stdout")
    check.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        help="look for wrong labels with the backbone; default: where its weights can be had",
    )
    check.add_argument("--recipe", default="default", metavar="NAME|FILE", help="default: %(default)s")
    check.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as data.group=exif_time")

    evaluate = _command(commands, "evaluate", "measure any .tflite classifier on photos", _evaluate)
    evaluate.add_argument("model", metavar="MODEL", help="the .tflite file")
    evaluate.add_argument("photos", metavar="PHOTOS")
    evaluate.add_argument(
        "--split",
        choices=("test", "val", "train", "all"),
        help="default: test where the folder holds a test split, else all",
    )
    evaluate.add_argument("--json", action="store_true", help="as JSON")

    quantize = _command(commands, "quantize", "quantize a Keras model that was trained elsewhere", _quantize)
    quantize.add_argument("model", metavar="KERAS_MODEL", help=".keras, .h5 or a SavedModel folder")
    quantize.add_argument("--representative", required=True, metavar="PHOTOS", help="photos like those it will see")
    _add_external(quantize)
    quantize.add_argument(
        "--activation", choices=("softmax", "sigmoid", "none"), help="default: read off the network's last operation"
    )
    quantize.add_argument("--samples", type=int, default=256, metavar="N", help="default: %(default)s")
    quantize.add_argument("--io", choices=("int8", "uint8"), default="int8", help="default: %(default)s")
    quantize.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    _add_gate(quantize)

    compress = _command(commands, "compress", "prune and quantize a Keras model as far as the promise holds", _compress)
    compress.add_argument("model", metavar="KERAS_MODEL", help="a functional Keras 2 model that ends in softmax")
    compress.add_argument("photos", metavar="PHOTOS", help="to train with, as for train")
    _add_external(compress)
    compress.add_argument("--target-fps", type=float, metavar="FPS", help="at least, on this machine and one thread")
    compress.add_argument("--target-size", type=float, metavar="KIB", help="of the INT8 file, at most")
    compress.add_argument("--recipe", default="default", metavar="NAME|FILE", help="default: %(default)s")
    compress.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for example prune.epochs=8")
    compress.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy it may lose to FP32; default: 1")

    _command(commands, "backbones", "list the networks", _backbones)

    demo = _command(commands, "demo", "the whole main job on handwritten digits, in a few minutes", _demo)
    demo.add_argument("--to", default="runs/demo", metavar="FOLDER", help="default: %(default)s")
    return parser


def _command(commands: Any, name: str, summary: str, function: Any) -> argparse.ArgumentParser:
    description = summary[0].upper() + summary[1:]
    parser: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=description)
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    return parser


def _add_external(parser: argparse.ArgumentParser) -> None:
    """What one has to know about a model that was trained elsewhere."""
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a new folder")
    parser.add_argument(
        "--normalize",
        required=True,
        metavar="RANGE|MEAN,STD",
        help="what the model takes: 0..255, 0..1, symmetric (-1 to 1), imagenet, or MEAN,STD in pixels, as 127.5,127.5",
    )
    parser.add_argument("--crop", choices=("center", "stretch"), default="center", help="default: %(default)s")
    parser.add_argument("--labels", metavar="FILE", help="one label a line; default: the class folders' names")


def _add_gate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-drop", type=float, metavar="POINTS", help="accuracy that INT8 may lose; default: 1")
    parser.add_argument("--min-agreement", type=float, metavar="PERCENT", help="answers equal to FP32's; default: 90")


def _gate_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    given = {"max_drop": arguments.max_drop, "min_agreement": arguments.min_agreement}
    return {name: value for name, value in given.items() if value is not None}


def _train(arguments: argparse.Namespace) -> int:
    from trainer.gate import require_kept
    from trainer.pipeline import train
    from trainer.recipe import read_recipe
    from trainer.summary import format_result

    given = {
        "model": {"backbone": arguments.backbone, "weights": arguments.weights},
        "distill": {"teacher": arguments.teacher},
        "prune": {"keep_macs": arguments.keep_macs},
        "sparsify": {"sparsity": arguments.sparsity},
        "quantize": {"io": arguments.io},
        "gate": _gate_settings(arguments),
    }
    settings = {table: {k: v for k, v in values.items() if v is not None} for table, values in given.items()}
    result = train(arguments.photos, arguments.to, read_recipe(arguments.recipe, arguments.set).updated(settings))
    print(format_result(result))
    require_kept(result.verdict)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from trainer.check import check
    from trainer.check_text import format_text
    from trainer.files import write_bytes, write_json
    from trainer.recipe import read_recipe

    for file in (arguments.page, arguments.json):
        if file and not Path(file).parent.is_dir():  # said before the work, not after it
            raise OutputFolderError(f"Expected a folder to write {file} to, there is none. Make it, or choose another.")
    report = check(arguments.photos, read_recipe(arguments.recipe, arguments.set), suspects=arguments.labels)
    if arguments.page:
        from trainer.check_page import render_check_page

        write_bytes(Path(arguments.page), render_check_page(report).encode())
    if arguments.json == "-":
        print(json.dumps(report.to_dict(), indent=1))
        return 0
    if arguments.json:
        write_json(Path(arguments.json), report.to_dict())
    print(format_text(report))
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    from trainer.evaluate import evaluate_photos
    from trainer.metrics import accuracy_interval

    evaluation, unreadable = evaluate_photos(arguments.model, arguments.photos, split=arguments.split)
    if arguments.json:
        print(json.dumps({**evaluation.to_dict(), "unreadable": [list(entry) for entry in unreadable]}, indent=1))
        return 0
    low, high = (f"{end:.1%}" for end in accuracy_interval(evaluation))
    print(f"{evaluation.model} on {evaluation.count} photos ({evaluation.split}), {evaluation.kernels}")
    print(f"accuracy {evaluation.accuracy:.1%} (95% interval {low} to {high}), macro F1 {evaluation.macro_f1:.3f}")
    width = max(len(metrics.label) for metrics in evaluation.classes)
    print(f"\n{'class':<{width}}  precision  recall     F1  photos")
    for metrics in evaluation.classes:
        figures = f"{metrics.precision:9.3f}  {metrics.recall:6.3f}  {metrics.f1:5.3f}  {metrics.support:6d}"
        print(f"{metrics.label:<{width}}  {figures}")
    for path, reason in unreadable:
        print(f"left out: {path}: {reason}", file=sys.stderr)
    return 0


def _quantize(arguments: argparse.Namespace) -> int:
    from edge_runtime.model_file import read_labels
    from trainer.config import GateConfig
    from trainer.external import quantize_keras_model
    from trainer.gate import require_kept
    from trainer.summary import format_models

    made = quantize_keras_model(
        Path(arguments.model),
        Path(arguments.representative),
        Path(arguments.to),
        normalize=arguments.normalize,
        crop=arguments.crop,
        labels=read_labels(arguments.labels) if arguments.labels else None,
        activation=arguments.activation,
        samples=arguments.samples,
        io=arguments.io,
        seed=arguments.seed,
        gate=GateConfig(**_gate_settings(arguments)),
    )
    print(format_models(made.fp32, made.int8, {kind: {"val": e} for kind, e in made.evaluations.items()}, made.verdict))
    require_kept(made.verdict)
    return 0


def _compress(arguments: argparse.Namespace) -> int:
    from edge_runtime.model_file import read_labels
    from trainer.compress import Target, compress
    from trainer.gate import require_kept
    from trainer.recipe import read_recipe
    from trainer.summary import format_compressed

    recipe = read_recipe(arguments.recipe, arguments.set)
    if arguments.max_drop is not None:
        recipe = recipe.updated({"gate": {"max_drop": arguments.max_drop}})
    size = arguments.target_size
    made = compress(
        Path(arguments.model),
        Path(arguments.photos),
        Path(arguments.to),
        recipe,
        normalize=arguments.normalize,
        target=Target(arguments.target_fps, None if size is None else round(1024 * size)),
        crop=arguments.crop,
        labels=read_labels(arguments.labels) if arguments.labels else None,
        announce=lambda line: print(line, file=sys.stderr),
    )
    print(format_compressed(made))
    require_kept(made.verdict)
    return 0


def _backbones(arguments: argparse.Namespace) -> int:
    from trainer.backbones import BACKBONES

    for backbone in BACKBONES.values():
        weights = "ImageNet weights" if backbone.weights_file else "from scratch"
        warning = f"; {backbone.int8_warning}" if backbone.int8_warning else ""
        print(f"{backbone.name:<32} {backbone.input_size} px, {weights}{warning}")
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from trainer.demo import run_demo

    print(run_demo(Path(arguments.to)))
    return 0
