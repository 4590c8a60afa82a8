"""``edge-runtime``: the command line, a thin twin of the API. Results on stdout, progress and messages on stderr."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import EdgeRuntimeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.classifier import Classifier
    from edge_runtime.types import InputContract


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status: 0, 1 for an error, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        status = int(arguments.command(arguments))
        sys.stdout.flush()  # here, where a full disk can still be told
        return status
    except EdgeRuntimeError as error:
        if arguments.traceback:
            raise
        print(f"edge-runtime: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has had enough
        _abandon_stdout()
        return 0
    except OSError as error:
        _abandon_stdout()
        if arguments.traceback:
            raise
        print(f"edge-runtime: {error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _abandon_stdout() -> None:
    """Lets what is still buffered go nowhere; Python would try again at exit, and complain."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-runtime",
        description="Classifies pictures, videos and cameras with a TensorFlow Lite model.",
    )
    from edge_runtime import __version__

    parser.add_argument("--version", action="version", version=f"edge-runtime {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    info = _command(commands, "info", "say what a model is and what runs it", _info)
    _add_model(info)
    info.add_argument("--json", action="store_true", help="as JSON")

    verify = _command(commands, "verify", "prove on this machine that pixels and scores come out right", _verify)
    _add_model(verify)
    verify.add_argument("--json", action="store_true", help="as JSON")

    classify = _command(commands, "classify", "classify pictures", _classify)
    _add_model(classify)
    classify.add_argument("pictures", nargs="+", metavar="PICTURE", help="a picture, or a folder of them")
    _add_answer(classify)
    classify.add_argument("--json", action="store_true", help="one line of JSON for each picture")

    run = _command(commands, "run", "classify a camera, video or stream; JSON Lines on stdout", _run)
    _add_model(run)
    run.add_argument(
        "--source",
        default="0",
        help="camera number or /dev/video*, csi, a video file, a folder, an rtsp:// or http:// stream, or synthetic "
        "(default: %(default)s)",
    )
    run.add_argument(
        "--pace",
        choices=("fast", "realtime"),
        default="fast",
        help="a video as fast as it goes, every frame; or at its own pace, newest frame only (default: %(default)s)",
    )
    run.add_argument("--max-frames", type=_positive, metavar="N", help="stop after N frames")
    run.add_argument("--to", metavar="FILE", help="write the JSON Lines into FILE instead of stdout")
    _add_answer(run)

    benchmark = _command(commands, "benchmark", "measure models against one another on this machine", _benchmark)
    _add_model(benchmark, several=True)
    benchmark.add_argument("--baseline", metavar="MODEL", help="the FP32 model that the others are compared with")
    benchmark.add_argument(
        "--seconds", type=_positive_float, default=10.0, help="how long to measure (default: %(default)s)"
    )
    benchmark.add_argument("--json", metavar="FILE", help="also write the report as JSON; - for stdout")
    benchmark.add_argument("--markdown", metavar="FILE", help="also write the table as Markdown; - for stdout")
    return parser


def _command(commands: Any, name: str, summary: str, function: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary[0].upper() + summary[1:]
    )
    parser.set_defaults(command=function)
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    return parser


def _add_model(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    if several:
        parser.add_argument("models", nargs="+", metavar="MODEL", help=".tflite files")
    else:
        parser.add_argument("model", metavar="MODEL", help="the .tflite file")
    parser.add_argument("--num-threads", type=_positive, metavar="N", help="default: one less than the cores, 1 to 4")
    parser.add_argument("--backend", choices=("tflite_runtime", "ai_edge_litert"), help="default: the first installed")
    parser.add_argument(
        "--int8-kernels",
        choices=("auto", "on", "off"),
        default="auto",
        help="XNNPACK kernels for quantized models in tflite-runtime 2.14 (default: %(default)s)",
    )
    group = parser.add_argument_group("for a model that doesn't say so itself")
    group.add_argument("--labels", metavar="FILE", help="one label a line")
    group.add_argument("--mean", type=_numbers, metavar="M[,M,M]", help="in pixel units 0-255")
    group.add_argument("--std", type=_numbers, metavar="S[,S,S]", help="in pixel units 0-255")
    group.add_argument("--crop", choices=("center", "stretch"), help="default: stretch")
    group.add_argument("--input-color", choices=("rgb", "bgr", "gray"), help="of the network's input; default: rgb")
    group.add_argument("--activation", choices=("softmax", "sigmoid", "none"), help="that the network applies itself")


def _add_answer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--top-k", type=_positive, default=3, metavar="K", help="default: %(default)s")
    parser.add_argument(
        "--score-threshold", type=float, default=0.0, metavar="S", help="least score, 0-1 (default: %(default)s)"
    )


def _open(arguments: argparse.Namespace, model: str | None = None) -> Classifier:
    from edge_runtime.classifier import Classifier
    from edge_runtime.model_file import read_labels

    model = model or arguments.model
    return Classifier(
        model,
        num_threads=arguments.num_threads,
        backend=arguments.backend,
        int8_kernels=arguments.int8_kernels,
        labels=read_labels(arguments.labels) if arguments.labels else None,
        contract=_contract(arguments, model),
        activation=arguments.activation,
    )


def _contract(arguments: argparse.Namespace, model: str) -> InputContract | None:
    """The contract that the options describe; None where they don't."""
    from edge_runtime.errors import ModelError
    from edge_runtime.model_file import input_size
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


def _info(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    with _open(arguments) as classifier:
        model, backend = classifier.model, classifier.backend
    if arguments.json:
        facts = {**asdict(model), "path": str(model.path), "backend": backend.to_dict()}
        print(json.dumps(facts, indent=1, default=str))
        return 0
    contract = model.contract
    tensor = model.input_tensor
    rows = [
        ("model", f"{Path(model.path).name}, {model.size_bytes / 1024:.0f} KiB, sha256 {model.sha256[:12]}"),
        ("classes", f"{len(model.labels)}: {', '.join(model.labels[:8])}{', …' if len(model.labels) > 8 else ''}"),
        (
            "input",
            f"{contract.height}×{contract.width} {contract.color}, {contract.crop} crop, {contract.interpolation}, "
            f"{tensor.dtype}, mean {_joined(contract.mean)}, std {_joined(contract.std)}",
        ),
        ("output", f"{model.output_tensor.dtype}, activation {model.activation}"),
        ("backend", f"{backend.name} {backend.version}, {backend.num_threads} threads"),
        (
            "INT8 kernels",
            backend.int8_kernels + (f" ({backend.int8_kernels_reason})" if backend.int8_kernels_reason else ""),
        ),
    ]
    if backend.delegated_ops is not None:
        rows.append(("XNNPACK", f"took {backend.delegated_ops} of {backend.total_ops} operations"))
    rows += [("note", note) for note in backend.notes]
    if model.manifest:
        for measured in model.manifest.accuracy:
            int8 = f", INT8 {measured.int8:.1%}" if measured.int8 is not None else ""
            rows.append((f"accuracy ({measured.split})", f"FP32 {measured.fp32:.1%}{int8} on {measured.count} photos"))
        rows += [(key, str(value)) for key, value in model.manifest.provenance.items() if not isinstance(value, dict)]
    _print_rows(rows)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from edge_runtime.golden import all_passed, verify_model

    with _open(arguments) as classifier:
        checks = verify_model(classifier)
        backend = classifier.backend
    passed = all_passed(checks)
    if arguments.json:
        print(json.dumps({"passed": passed, "samples": [asdict(check) for check in checks]}, indent=1))
        return 0 if passed else 1
    for number, check in enumerate(checks, start=1):
        pixels = "same pixels" if check.pixels_equal else "OTHER PIXELS"
        top = "same answer" if check.same_top else "OTHER ANSWER"
        print(f"sample {number}: {pixels}, {top}, scores within {check.score_difference:.4f}")
    kernels = f"{backend.name} {backend.version}, INT8 kernels {backend.int8_kernels}"
    print(f"{'verified' if passed else 'NOT VERIFIED'}: {len(checks)} golden samples with {kernels}")
    return 0 if passed else 1


def _classify(arguments: argparse.Namespace) -> int:
    from edge_runtime.sources.folder import list_pictures, read_picture

    failed = 0
    with _open(arguments) as classifier:
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
                print(f"{path}: {answers or 'unknown'}")
    return 1 if failed else 0


def _run(arguments: argparse.Namespace) -> int:
    from itertools import islice

    from edge_runtime.sinks import JsonLines
    from edge_runtime.sources import open_source
    from edge_runtime.stream import live

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    frames, result = 0, None
    with (
        _open(arguments) as classifier,
        open_source(arguments.source, pace=arguments.pace) as source,
        JsonLines(arguments.to) as sink,
    ):
        print(f"{source.describe()}; {classifier.model.path.name}; Ctrl-C stops", file=sys.stderr)
        results = live(classifier, source, top_k=arguments.top_k, score_threshold=arguments.score_threshold, stop=stop)
        try:
            for result in islice(results, arguments.max_frames):
                if not sink.write(result):
                    break
                frames += 1
        finally:
            results.close()
    if result is not None:
        print(
            f"{frames} frames, {result.fps:.1f} per second at the end, {result.dropped} dropped, "
            f"age of the last {result.age_ms:.1f} ms",
            file=sys.stderr,
        )
    return 0


def _benchmark(arguments: argparse.Namespace) -> int:
    from contextlib import ExitStack

    from edge_runtime.benchmark import benchmark, format_markdown, format_text

    given = [*arguments.models, *([arguments.baseline] if arguments.baseline else [])]
    with ExitStack() as opened:
        # The baseline may be one of the models; it is measured once then.
        classifiers = {path: opened.enter_context(_open(arguments, path)) for path in dict.fromkeys(given)}
        models = [classifiers[path] for path in dict.fromkeys(arguments.models)]
        report = benchmark(models, baseline=classifiers.get(arguments.baseline), seconds=arguments.seconds)
    outputs = [(arguments.json, json.dumps(report.to_dict(), indent=1)), (arguments.markdown, format_markdown(report))]
    if not any(target == "-" for target, _ in outputs):
        print(format_text(report))
    for target, text in outputs:
        if target == "-":
            print(text)
        elif target:
            _write_text(Path(target), text + "\n")
    return 0


def _write_text(path: Path, text: str) -> None:
    from edge_runtime.errors import OutputError

    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"Expected to write {path}, got: {error.strerror}. Choose another file.") from error


def _print_rows(rows: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def _joined(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


def _positive_float(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return value


def _numbers(text: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected one or three numbers, got {text!r}") from None
    if len(values) not in (1, 3):
        raise argparse.ArgumentTypeError(f"expected one or three numbers, got {text!r}")
    return values
