"""The options of a live loop, and the rules that they describe."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edge_runtime.cli.options.values import names, positive, positive_float, share

if TYPE_CHECKING:
    from edge_runtime.live_loop.capture import CaptureRules
    from edge_runtime.live_loop.decision import DecisionRules
    from edge_runtime.live_loop.frame_gate import GateRules
    from edge_runtime.sources import Pace, Source
    from edge_runtime.types import Region


def add_source(parser: argparse.ArgumentParser, *, pace: Pace = "fast", more: str = "") -> None:
    """The options that say where frames come from.

    Args:
        parser: Of the command.
        pace: The default.
        more: That ``--source`` can be, for its help.
    """
    parser.add_argument(
        "--source",
        default="0",
        help="camera number, /dev/video* or /dev/v4l/by-id/*, csi, a video file, a folder, a recording, an rtsp:// or "
        f"http:// stream, a GStreamer pipeline, synthetic, faulty{more} (default: %(default)s)",
    )
    parser.add_argument(
        "--pace",
        choices=("fast", "realtime"),
        default=pace,
        help="a file as fast as it goes, every frame; or at its own pace, newest frame only (default: %(default)s)",
    )
    parser.add_argument("--size", type=_size, metavar="WxH", help="to ask a camera for (default: 640x480)")
    parser.add_argument("--fps", type=positive_float, metavar="F", help="to ask a camera for (default: 30)")
    broken = parser.add_argument_group("when a camera is reopened")
    broken.add_argument(
        "--stall-timeout",
        type=positive_float,
        default=2.0,
        metavar="S",
        help="after S seconds without a frame (default: %(default)s)",
    )
    broken.add_argument(
        "--freeze-timeout",
        type=float,
        default=5.0,
        metavar="S",
        help="after S seconds of the same picture; 0: never for that (default: %(default)s)",
    )
    broken.add_argument("--retries", type=int, metavar="N", help="give up after N attempts (default: never)")


def add_live(parser: argparse.ArgumentParser) -> None:
    """The options that say which frames are looked at, and how decisions are made of the answers."""
    loop = parser.add_argument_group("which frames are classified")
    loop.add_argument("--region", type=_region, metavar="L,T,W,H", help="a part of the picture, in shares of its size")
    loop.add_argument("--every", type=positive, default=1, metavar="N", help="each N-th frame (default: %(default)s)")
    loop.add_argument("--max-fps", type=positive_float, metavar="F", help="at most F frames a second")
    loop.add_argument(
        "--idle-after",
        type=positive_float,
        metavar="S",
        help="after S seconds without a change in the picture, only a frame each 2 seconds",
    )
    decision = parser.add_argument_group(
        "what is decided of them",
        "A model for several labels has a threshold for each class: each enters at its own, and leaves below the share "
        "of it that LEAVE is of ENTER.",
    )
    decision.add_argument(
        "--smoothing",
        choices=("none", "exponential", "majority"),
        default="exponential",
        help="of the scores over time (default: %(default)s)",
    )
    decision.add_argument(
        "--smoothing-seconds", type=float, default=0.3, metavar="S", help="its time constant (default: %(default)s)"
    )
    decision.add_argument("--enter", type=share, default=0.6, metavar="S", help="score to enter (default: %(default)s)")
    decision.add_argument("--leave", type=share, default=0.4, metavar="S", help="score to leave (default: %(default)s)")
    decision.add_argument(
        "--margin", type=share, default=0.0, metavar="S", help="lead over the next class (default: %(default)s)"
    )
    decision.add_argument(
        "--dwell", type=float, default=0.3, metavar="S", help="seconds that a change must last (default: %(default)s)"
    )
    decision.add_argument("--allow", type=names, default=(), metavar="A,B", help="only these classes can be decided")
    decision.add_argument("--deny", type=names, default=(), metavar="A,B", help="these can't")


def open_live_source(arguments: argparse.Namespace, *, loop: bool = False) -> Source:
    """The source that the options of `add_source` describe."""
    from edge_runtime.sources import open_source

    return open_source(arguments.source, pace=arguments.pace, loop=loop, size=arguments.size, fps=arguments.fps)


def decision_rules(arguments: argparse.Namespace) -> DecisionRules:
    """When a class counts as in view, as the options of `add_live` say."""
    from edge_runtime.live_loop.decision import DecisionRules

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
    """Which frames are classified, as the options of `add_live` say."""
    from edge_runtime.live_loop.frame_gate import GateRules

    return GateRules(every=arguments.every, max_fps=arguments.max_fps, idle_after_s=arguments.idle_after)


def capture_rules(arguments: argparse.Namespace) -> CaptureRules:
    """When a camera counts as broken, as the options of `add_source` say."""
    from edge_runtime.live_loop.capture import CaptureRules

    return CaptureRules(
        stall_timeout_s=arguments.stall_timeout,
        freeze_timeout_s=arguments.freeze_timeout or None,
        retries=arguments.retries,
    )


def _size(text: str) -> tuple[int, int]:
    width, times, height = text.lower().replace("×", "x").partition("x")
    if not (times and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"expected a size such as 640x480, got {text!r}")
    return int(height), int(width)


def _region(text: str) -> Region:
    from edge_runtime.types import Region

    try:
        left, top, width, height = map(float, text.split(","))
        return Region(left, top, width, height)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected left, top, width and height in shares of the picture, such as 0.25,0,0.5,1, got {text!r}"
        ) from None
