"""The options that name a model, and the classifier that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.cli.options.values import numbers, positive, share, thread_numbers

if TYPE_CHECKING:
    import argparse

    from edge_runtime.inference.classifier import Classifier
    from edge_runtime.inference.options import ClassifierOptions
    from edge_runtime.types import InputContract


_BACKENDS = ("tflite_runtime", "ai_edge_litert")


def add_model(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The options that say which model, and how it runs."""
    if several:
        parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite files")
    else:
        parser.add_argument("model", metavar="MODEL", help="the .tflite file")
    default_threads = "default: the best in a sweep on this machine, or else one less than the cores, 1 to 4"
    if several:
        parser.add_argument(
            "--num-threads",
            "--threads",
            type=thread_numbers,
            metavar="N[,N…]|auto",
            default=(None,),
            help="several numbers are several rows; auto measures each model with 1 to all cores, takes the best and "
            f"remembers it for the other commands; {default_threads}",
        )
    else:
        parser.add_argument("--num-threads", type=positive, metavar="N", help=default_threads)
        parser.add_argument(
            "--isolated",
            action="store_true",
            help="run the model in a process of its own, with few rights: a file that crashes it or hangs is an error",
        )
    parser.add_argument(
        "--unknown-threshold",
        type=share,
        metavar="S",
        help="certainty, 0-1, below which a picture is unknown; 0: none is (default: what the model carries, if any)",
    )
    parser.add_argument(
        "--backend",
        choices=(*_BACKENDS, *(["all"] if several else [])),
        help="default: the first installed" + ("; all: each that is installed is a row" if several else ""),
    )
    parser.add_argument(
        "--int8-kernels",
        choices=("auto", "on", "off", *(["both"] if several else [])),
        default="auto",
        help="XNNPACK kernels for quantized models in tflite-runtime 2.14 (default: %(default)s)"
        + ("; both: on and off, a row each" if several else ""),
    )
    parser.add_argument(
        "--require-signature",
        metavar="KEY.pub.pem",
        help="run the model only if it was signed with this public key's private one (edge-trainer sign)",
    )
    group = parser.add_argument_group("for a model that doesn't say so itself")
    group.add_argument("--labels", metavar="FILE", help="one label a line")
    group.add_argument("--mean", type=numbers, metavar="M[,M,M]", help="in pixel units 0-255")
    group.add_argument("--std", type=numbers, metavar="S[,S,S]", help="in pixel units 0-255")
    group.add_argument("--crop", choices=("center", "stretch"), help="default: stretch")
    group.add_argument("--input-color", choices=("rgb", "bgr", "gray"), help="of the network's input; default: rgb")
    group.add_argument("--activation", choices=("softmax", "sigmoid", "none"), help="that the network applies itself")


def add_answer(parser: argparse.ArgumentParser) -> None:
    """The options that say how much of an answer is wanted."""
    parser.add_argument("--top-k", type=positive, default=3, metavar="K", help="default: %(default)s")
    parser.add_argument(
        "--score-threshold", type=share, default=0.0, metavar="S", help="least score, 0-1 (default: %(default)s)"
    )


def add_watch(parser: argparse.ArgumentParser) -> None:
    """The option that says what becomes of a model whose file is replaced."""
    parser.add_argument(
        "--keep-model",
        action="store_true",
        help="go on with the model of the start when its file is replaced (default: the new one takes over, between "
        "two frames; one that can't be used is refused)",
    )


def open_classifier(arguments: argparse.Namespace) -> Classifier:
    """The classifier that the options of `add_model` describe."""
    from dataclasses import replace

    from edge_runtime.inference.isolation.limits import IsolationLimits

    options = replace(
        options_of(arguments, arguments.model),
        num_threads=arguments.num_threads,
        backend=arguments.backend,
        int8_kernels=arguments.int8_kernels,
        isolation=IsolationLimits() if arguments.isolated else None,
    )
    return Classifier.from_options(options)


def options_of(arguments: argparse.Namespace, model: str) -> ClassifierOptions:
    """A model with what the options say of it, not yet of how it runs."""
    from edge_runtime.inference.options import ClassifierOptions
    from edge_runtime.model.file import read_labels

    return ClassifierOptions(
        model,
        labels=read_labels(arguments.labels) if arguments.labels else None,
        contract=_contract(arguments, model),
        activation=arguments.activation,
        unknown_threshold=arguments.unknown_threshold,
        require_signature=arguments.require_signature,
    )


def _contract(arguments: argparse.Namespace, model: str) -> InputContract | None:
    """The contract that the options describe; None where they don't."""
    from edge_runtime.errors import ModelError
    from edge_runtime.model.file import input_size
    from edge_runtime.types import InputContract

    if not (arguments.mean or arguments.std or arguments.crop or arguments.input_color):
        return None
    if not (arguments.mean and arguments.std):
        raise ModelError("Expected --mean and --std together, and with --crop or --input-color. Give both.")
    height, width = input_size(model)
    try:
        return InputContract(
            height,
            width,
            color=arguments.input_color or "rgb",
            crop=arguments.crop or "stretch",
            interpolation="linear",
            mean=arguments.mean,
            std=arguments.std,
        )
    except ValueError as error:
        raise ModelError(str(error)) from error
