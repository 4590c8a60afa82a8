"""The figures of a running server, as Prometheus reads them (text format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from edge_runtime.device.machine import read_temperature_c
from edge_runtime.types import Counters

if TYPE_CHECKING:
    from edge_runtime.server.hub import Hub
    from edge_runtime.server.protection.traffic import Traffic

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FATES = ("classified", "dropped", "skipped", "repeated", "malformed")

Samples = Iterable[tuple[Mapping[str, str], float]]


def render_metrics(
    hub: Hub | None, *, answers: Mapping[int, int], predict_s: float, viewers: int, traffic: Traffic
) -> str:
    """All the figures; those of the live loop where there is one.

    What the limits turn away before the application sees it stands in ``refused_total`` and nowhere else. Whoever asks
    for the figures is under the same limits as everybody.

    Args:
        hub: Of the live loop.
        answers: How many pictures that were sent in were answered, by HTTP status.
        predict_s: What answering them took, in seconds.
        viewers: Who watch now.
        traffic: What came before the application.
    """
    metrics = [
        _metric("predict_requests_total", "counter", "Pictures sent in, by answer.", _by("status", answers)),
        _metric("predict_seconds_total", "counter", "Time taken to answer them.", _one(predict_s)),
        _metric("viewers", "gauge", "Streams of pictures or events that are being watched.", _one(viewers)),
        _metric("connections", "gauge", "Connections that are open.", _one(traffic.connections.total())),
        _metric("refused_total", "counter", "Turned away by a limit.", _by("reason", traffic.refused)),
    ]
    temperature = read_temperature_c()
    if temperature is not None:
        metrics.append(_metric("temperature_celsius", "gauge", "Of the processor.", _one(temperature)))
    return "".join([*metrics, *([] if hub is None else _live_metrics(hub))])


def _live_metrics(hub: Hub) -> list[str]:
    result, live = hub.result, hub.state == "live"
    counters = (Counters() if result is None else result.counters).to_dict()
    fates = {fate: counters[fate] for fate in _FATES}
    metrics = [
        _metric("frames_captured_total", "counter", "Frames read from the source.", _one(counters["captured"])),
        _metric("frames_total", "counter", "What became of them.", _by("fate", fates)),
        _metric("reconnects_total", "counter", "How often the source was reopened.", _one(counters["reconnects"])),
        _metric("inference_seconds_total", "counter", "Time in the network.", _one(hub.classified_s)),
        _metric("camera_up", "gauge", "1 while frames come.", _one(live)),
        _metric("events_total", "counter", "Decisions that changed.", _by("kind", hub.event_counts)),
        _metric("pictures_encoded_total", "counter", "Frames made into JPEG for viewers.", _one(hub.encoded)),
    ]
    if result is None:
        return metrics
    return [
        *metrics,
        _metric("inference_seconds", "gauge", "Of the last frame.", _one(result.prediction.inference_ms / 1000)),
        _metric("frame_age_seconds", "gauge", "Of the last frame, at its decision.", _one(result.age_ms / 1000)),
        _metric("fps", "gauge", "Frames decided a second; 0 while none come.", _one(result.fps if live else 0)),
    ]


def _metric(name: str, kind: str, about: str, samples: Samples) -> str:
    name = f"edge_runtime_{name}"
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inside = ",".join(f'{label}="{text}"' for label, text in labels.items())
        lines.append(f"{name}{f'{{{inside}}}' if inside else ''} {float(value):.10g}")
    return "\n".join(lines) + "\n"


def _one(value: float) -> Samples:
    return [({}, value)]


def _by(label: str, values: Mapping[str, float] | Mapping[int, float]) -> Samples:
    return [({label: str(key)}, value) for key, value in values.items()]
