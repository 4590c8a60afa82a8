"""The options that say where results go, and the sinks that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.cli.options.values import names, positive_float, share

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from edge_runtime.sinks import Sink


def add_sinks(parser: argparse.ArgumentParser) -> None:
    """The options that say where results go."""
    lines = parser.add_argument_group("JSON Lines")
    lines.add_argument("--to", metavar="FILE", help="write them into FILE instead of stdout")
    lines.add_argument("--events-only", action="store_true", help="a line for each event, none for a frame")
    add_event_sinks(parser)


def add_event_sinks(parser: argparse.ArgumentParser) -> None:
    """The options that say where events, and frames worth keeping, go."""
    out = parser.add_argument_group("where events go")
    out.add_argument(
        "--mqtt",
        metavar="URL",
        help="mqtt://user:password@host:1883/topic, with Home Assistant discovery; the password may stand in "
        "EDGE_RUNTIME_MQTT_PASSWORD",
    )
    out.add_argument("--webhook", metavar="URL", help="post each event as JSON")
    out.add_argument("--on-event", metavar="COMMAND", help="run a command for each event; EDGE_LABEL, … say which")
    out.add_argument(
        "--kinds",
        type=names,
        default=(),
        metavar="K,K",
        help="entered, left, changed: which events the webhook and the command get (default: all)",
    )
    save = parser.add_argument_group("frames that are kept for the next training")
    save.add_argument("--save-to", metavar="FOLDER", help="save frames into FOLDER")
    save.add_argument("--save-below", type=share, metavar="S", help="those with a best score below S")
    save.add_argument("--save-margin", type=share, metavar="S", help="those whose lead over the second is below S")
    save.add_argument("--save-on", type=names, default=(), metavar="K,K", help="those of events of these kinds")
    save.add_argument(
        "--save-quota", type=positive_float, default=500.0, metavar="MIB", help="default: %(default)g MiB in all"
    )


def open_sinks(arguments: argparse.Namespace) -> Iterator[Sink]:
    """The sinks that the options of `add_sinks` describe."""
    from edge_runtime.sinks import JsonLines

    yield JsonLines(arguments.to, events_only=arguments.events_only)
    yield from open_event_sinks(arguments)


def open_event_sinks(arguments: argparse.Namespace) -> Iterator[Sink]:
    """Those of them that take events and frames, and no lines."""
    # Each is imported when it is asked for: most devices need none of the others.
    if arguments.mqtt:
        from edge_runtime.sinks import Mqtt

        yield Mqtt(arguments.mqtt)
    if arguments.webhook:
        from edge_runtime.sinks import Background, Webhook

        yield Background(Webhook(arguments.webhook, kinds=arguments.kinds))
    if arguments.on_event:
        from edge_runtime.sinks import Background, Command

        yield Background(Command(arguments.on_event, kinds=arguments.kinds))
    if arguments.save_to:
        from edge_runtime.sinks import Background, SavedFrames, SaveRules

        rules = SaveRules(score_below=arguments.save_below, margin_below=arguments.save_margin, kinds=arguments.save_on)
        yield Background(SavedFrames(arguments.save_to, rules, quota_mib=arguments.save_quota))
