"""Options of the live loop, and the rules that they describe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, get_args

from edge_runtime.cli.options.values import fraction, names, positive, positive_float
from edge_runtime.live_loop.capture import CaptureRules
from edge_runtime.live_loop.decision import DecisionRules, Smoothing
from edge_runtime.live_loop.frame_gate import GateRules
from edge_runtime.sources.base import Pace
from edge_runtime.types import Region

if TYPE_CHECKING:
    from edge_runtime.sources import Source


def add_source(parser: argparse.ArgumentParser, *, pace: Pace = "fast", more: str = "") -> None:
    """Add the options that say where frames come from.

    Args:
        parser: Parser of the command.
        pace: Default of ``--pace``.
        more: Further values of ``--source``, for its help.
    """
    parser.add_argument(
        "--source",
        default="0",
        help="Camera number, /dev/video*, /dev/v4l/by-id/*, csi (Raspberry Pi camera module), video, picture, folder, "
        "recording, rtsp:// or http:// stream, GStreamer pipeline, synthetic (generated scene), or faulty (camera that "
        f"fails on a schedule){more}",
    )
    parser.add_argument(
        "--pace",
        choices=get_args(Pace),
        default=pace,
        help="Read every frame of a file as fast as possible (fast), or play it at its own frame rate, dropping frames "
        "if the model is slower (realtime)",
    )
    parser.add_argument(
        "--size", type=_size, metavar="WxH", help="Frame size to request from the camera (default: 640x480)"
    )
    parser.add_argument(
        "--fps",
        type=positive_float,
        metavar="F",
        help="Frame rate to request from the camera, or to play a file at (default: 30, or the file's own)",
    )
    failures = parser.add_argument_group("camera failures")
    failures.add_argument(
        "--stall-timeout",
        type=positive_float,
        default=CaptureRules.stall_timeout_s,
        metavar="S",
        help="Reopen the camera after S seconds without a frame",
    )
    failures.add_argument(
        "--freeze-timeout",
        type=float,
        default=CaptureRules.freeze_timeout_s,
        metavar="S",
        help="Reopen the camera after S seconds of identical frames; 0 disables this",
    )
    failures.add_argument(
        "--retries",
        type=int,
        default=CaptureRules.retries,
        metavar="N",
        help="Exit after N failed attempts to reopen the camera (default: never)",
    )


def add_live(parser: argparse.ArgumentParser) -> None:
    """Add the options that select the frames to classify and control the decision."""
    frames = parser.add_argument_group("frame selection")
    frames.add_argument(
        "--region",
        type=_region,
        metavar="L,T,W,H",
        help="Region to classify: left, top, width, height as fractions of the frame, such as 0.25,0,0.5,1",
    )
    frames.add_argument(
        "--every", type=positive, default=GateRules.every, metavar="N", help="Classify every N-th frame"
    )
    frames.add_argument("--max-fps", type=positive_float, metavar="F", help="Classify at most F frames per second")
    frames.add_argument(
        "--idle-after",
        type=positive_float,
        metavar="S",
        help=f"After S seconds without motion, classify one frame per {GateRules.idle_interval_s:g} seconds",
    )
    decision = parser.add_argument_group(
        "decision (which class is in view)",
        "In a multi-label model each class enters at its own threshold T instead of\n"
        "--enter, and leaves below T × LEAVE / ENTER.",
    )
    decision.add_argument(
        "--smoothing",
        choices=get_args(Smoothing),
        default=DecisionRules.smoothing,
        help="Method that smooths scores over time",
    )
    for option, kind, default, text in (
        ("smoothing-seconds", float, DecisionRules.smoothing_s, "Time constant of the smoothing in seconds"),
        ("enter", fraction, DecisionRules.enter, "Score from which a class enters, 0-1"),
        ("leave", fraction, DecisionRules.leave, "Score below which a class leaves, 0-1"),
        ("margin", fraction, DecisionRules.margin, "Lead over the second-best class required to enter, 0-1"),
        ("dwell", float, DecisionRules.dwell_s, "Seconds that a change must last before it counts"),
    ):
        decision.add_argument(f"--{option}", type=kind, default=default, metavar="S", help=text)
    decision.add_argument(
        "--allow", type=names, default=DecisionRules.allow, metavar="A,B", help="Decide only for these classes"
    )
    decision.add_argument(
        "--deny", type=names, default=DecisionRules.deny, metavar="A,B", help="Never decide for these classes"
    )


def open_live_source(arguments: argparse.Namespace, *, loop: bool = False) -> Source:
    """Open the source that the options of `add_source` describe.

    Raises:
        SourceError: The source does not exist or cannot be read.
    """
    from edge_runtime.sources import open_source

    return open_source(arguments.source, pace=arguments.pace, loop=loop, size=arguments.size, fps=arguments.fps)


def decision_rules(arguments: argparse.Namespace) -> DecisionRules:
    """Return the decision rules of the options of `add_live`."""
    return DecisionRules(
        smoothing=arguments.smoothing,
        smoothing_s=arguments.smoothing_seconds,
        enter=arguments.enter,
        leave=arguments.leave,
        margin=arguments.margin,
        dwell_s=arguments.dwell,
        allow=arguments.allow,
        deny=arguments.deny,
    )


def gate_rules(arguments: argparse.Namespace) -> GateRules:
    """Return the frame gate's rules of the options of `add_live`."""
    return GateRules(every=arguments.every, max_fps=arguments.max_fps, idle_after_s=arguments.idle_after)


def capture_rules(arguments: argparse.Namespace) -> CaptureRules:
    """Return the rules for broken cameras of the options of `add_source`."""
    return CaptureRules(
        stall_timeout_s=arguments.stall_timeout,
        freeze_timeout_s=arguments.freeze_timeout or None,
        retries=arguments.retries,
    )


def _size(text: str) -> tuple[int, int]:
    width, times, height = text.lower().replace("×", "x").partition("x")
    if not (times and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, such as 640x480, not {text!r}")
    return int(height), int(width)


def _region(text: str) -> Region:
    try:
        left, top, width, height = map(float, text.split(","))
        return Region(left, top, width, height)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be left,top,width,height as fractions of the frame, such as 0.25,0,0.5,1, not {text!r}"
        ) from None
