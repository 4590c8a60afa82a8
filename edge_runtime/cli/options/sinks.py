"""Options that say where results go, and the sinks that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from edge_runtime.cli.options.values import fraction, names, positive_float
from edge_runtime.errors import RulesError
from edge_runtime.types import EventKind

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from edge_runtime.sinks import Sink


def add_sinks(parser: argparse.ArgumentParser) -> None:
    """Add the options for JSON Lines, events and saved frames."""
    lines = parser.add_argument_group("JSON Lines")
    lines.add_argument("--to", metavar="FILE", help="Write results to FILE instead of stdout")
    lines.add_argument("--events-only", action="store_true", help="Write one line per event instead of one per frame")
    add_event_sinks(parser)


def add_event_sinks(parser: argparse.ArgumentParser) -> None:
    """Add the options for events and saved frames."""
    kinds = ", ".join(get_args(EventKind))
    events = parser.add_argument_group("events")
    events.add_argument(
        "--mqtt",
        metavar="URL",
        help="Publish to an MQTT broker, with Home Assistant discovery: mqtt://user:password@host:1883/topic; the "
        "password can also be set in the environment variable EDGE_RUNTIME_MQTT_PASSWORD",
    )
    events.add_argument("--webhook", metavar="URL", help="POST each event as JSON to URL")
    events.add_argument(
        "--on-event", metavar="COMMAND", help="Run COMMAND for each event, with EDGE_LABEL, … in its environment"
    )
    events.add_argument(
        "--kinds",
        type=names,
        default=(),
        metavar="K,K",
        help=f"Events for --webhook and --on-event, from {kinds} (default: all)",
    )
    save = parser.add_argument_group("saved frames (pictures for the next training)")
    save.add_argument("--save-to", metavar="FOLDER", help="Save the frames selected by the options below to FOLDER")
    save.add_argument("--save-below", type=fraction, metavar="S", help="Save frames whose best score is below S")
    save.add_argument(
        "--save-margin",
        type=fraction,
        metavar="S",
        help="Save frames whose best score leads the second best by less than S",
    )
    save.add_argument(
        "--save-on", type=names, default=(), metavar="K,K", help=f"Save frames with these events, from {kinds}"
    )
    save.add_argument(
        "--save-quota",
        type=positive_float,
        default=500.0,
        metavar="MIB",
        help="Maximum size of the saved pictures in MiB; beyond it the oldest are deleted",
    )


def open_sinks(arguments: argparse.Namespace) -> Iterator[Sink]:
    """Open the sinks that the options of `add_sinks` describe."""
    from edge_runtime.sinks import JsonLines

    yield JsonLines(arguments.to, events_only=arguments.events_only)
    yield from open_event_sinks(arguments)


def open_event_sinks(arguments: argparse.Namespace) -> Iterator[Sink]:
    """Open the sinks that the options of `add_event_sinks` describe.

    Raises:
        RulesError: No rule selects the frames to save.
    """
    from edge_runtime.sinks import Background, Command, Mqtt, SavedFrames, SaveRules, Webhook

    if arguments.mqtt:
        yield Mqtt(arguments.mqtt)
    if arguments.webhook:
        yield Background(Webhook(arguments.webhook, kinds=arguments.kinds))
    if arguments.on_event:
        yield Background(Command(arguments.on_event, kinds=arguments.kinds))
    if arguments.save_to:
        if arguments.save_below is None and arguments.save_margin is None and not arguments.save_on:
            raise RulesError("No rule selects the frames to save. Give --save-below, --save-margin or --save-on.")
        rules = SaveRules(score_below=arguments.save_below, margin_below=arguments.save_margin, kinds=arguments.save_on)
        yield Background(SavedFrames(arguments.save_to, rules, quota_mib=arguments.save_quota))
