"""Options that name a model and how it runs, and the classifier that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from edge_runtime.cli.options.values import fraction, numbers, positive, thread_numbers
from edge_runtime.inference.interpreter import BACKENDS, Int8Kernels
from edge_runtime.inference.options import ClassifierOptions
from edge_runtime.types import Activation, Color, Crop, InputContract

if TYPE_CHECKING:
    import argparse

    from edge_runtime.inference.classifier import Classifier

# Defaults for models without metadata: what most training tutorials do.
_CROP: Crop = "stretch"
_COLOR: Color = "rgb"


def add_model(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """Add the options that name the model and configure its interpreter.

    Args:
        parser: Parser of the command.
        several: If True, accept several models, and several values of some options.
    """
    threads_default = "(default: the result of 'benchmark --threads auto', or else one less than the cores, 1 to 4)"
    if several:
        parser.add_argument("models", nargs="+", metavar="MODEL", help="One or more .tflite files")
        parser.add_argument(
            "--num-threads",
            "--threads",
            type=thread_numbers,
            metavar="N[,N…]|auto",
            default=(None,),
            help="Number of threads; several numbers give one row each; auto tries 1 to all cores and remembers the "
            f"fastest for the other commands {threads_default}",
        )
    else:
        parser.add_argument("model", metavar="MODEL", help="The .tflite file")
        parser.add_argument("--num-threads", type=positive, metavar="N", help=f"Number of threads {threads_default}")
        parser.add_argument(
            "--isolated",
            action="store_true",
            help="Run an untrusted model in a separate process with few privileges: crashes and hangs become errors",
        )
    parser.add_argument(
        "--unknown-threshold",
        type=fraction,
        metavar="S",
        help="Certainty, 0-1, below which a picture is unknown; 0 disables this (default: the model's own, if any)",
    )
    parser.add_argument(
        "--backend",
        choices=(*BACKENDS, *(["all"] if several else [])),
        help="TensorFlow Lite interpreter (default: the first installed)"
        + ("; all gives a row for each" if several else ""),
    )
    parser.add_argument(
        "--int8-kernels",
        choices=(*get_args(Int8Kernels), *(["both"] if several else [])),
        default=ClassifierOptions.int8_kernels,
        help="Fast XNNPACK kernels for INT8 models in tflite-runtime 2.14"
        + ("; both gives a row with and a row without" if several else ""),
    )
    parser.add_argument(
        "--require-signature",
        metavar="KEY.pub.pem",
        help="Run the model only if it was signed with the private key of this public key (see edge-trainer sign)",
    )
    group = parser.add_argument_group("models without metadata")
    group.add_argument("--labels", metavar="FILE", help="Text file with one class name per line")
    group.add_argument("--mean", type=numbers, metavar="M[,M,M]", help="Mean to subtract, in pixel units 0-255")
    group.add_argument(
        "--std", type=numbers, metavar="S[,S,S]", help="Standard deviation to divide by, in pixel units 0-255"
    )
    group.add_argument(
        "--crop", choices=get_args(Crop), help=f"Crop the frame's center, or stretch all of it (default: {_CROP})"
    )
    group.add_argument(
        "--input-color", choices=get_args(Color), help=f"Channel order of the network's input (default: {_COLOR})"
    )
    group.add_argument(
        "--activation",
        choices=get_args(Activation),
        help="Activation already applied to the network's output (default: read from the model)",
    )


def add_prediction(parser: argparse.ArgumentParser) -> None:
    """Add the options that limit a prediction's categories."""
    parser.add_argument("--top-k", type=positive, default=3, metavar="K", help="Number of classes to report")
    parser.add_argument(
        "--score-threshold", type=fraction, default=0.0, metavar="S", help="Minimum score of a reported class, 0-1"
    )


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the option that turns off the switch to a replaced model file."""
    parser.add_argument(
        "--keep-model",
        action="store_true",
        help="Keep the loaded model if its file is replaced (default: switch to the new one, if it is valid)",
    )


def open_classifier(arguments: argparse.Namespace) -> Classifier:
    """Open the classifier that the options of `add_model` describe.

    Raises:
        ModelError: The model cannot be used.
        BackendError: No interpreter is available, or it rejects the model.
    """
    from dataclasses import replace

    from edge_runtime.inference.classifier import Classifier
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
    """Return what the options of `add_model` say about a model, without its threads, backend and kernels.

    Raises:
        ModelError: The options do not describe an input, or the model or the label file cannot be read.
    """
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
    """Return the input contract that the options describe; None if they describe none."""
    from edge_runtime.errors import ModelError
    from edge_runtime.model.file import input_size

    if not (arguments.mean or arguments.std or arguments.crop or arguments.input_color):
        return None
    if not (arguments.mean and arguments.std):
        raise ModelError("The description of the input is incomplete. Give --mean and --std together.")
    height, width = input_size(model)
    try:
        return InputContract(
            height,
            width,
            color=arguments.input_color or _COLOR,
            crop=arguments.crop or _CROP,
            interpolation="linear",
            mean=arguments.mean,
            std=arguments.std,
        )
    except ValueError as error:
        raise ModelError(str(error)) from error
