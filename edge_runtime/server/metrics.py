"""Metrics of a running server in Prometheus text format 0.0.4."""

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
    """Return all metrics; those of the live loop only if there is one.

    Requests refused by a limit before they reach the application are counted only in ``refused_total``. The limits
    also apply to ``/metrics`` itself.

    Args:
        hub: Newest frame, result and events of the live loop; None without a source.
        answers: Number of ``/predict`` responses by HTTP status.
        predict_s: Total seconds spent on ``/predict`` requests.
        viewers: Number of open streams.
        traffic: Counters of connections and refused requests.
    """
    metrics = [
        _metric("predict_requests_total", "counter", "Requests to /predict, by HTTP status.", _by("status", answers)),
        _metric("predict_seconds_total", "counter", "Time spent on requests to /predict.", _one(predict_s)),
        _metric("viewers", "gauge", "Open streams of pictures and events.", _one(viewers)),
        _metric("connections", "gauge", "Open connections.", _one(traffic.connections.total())),
        _metric("refused_total", "counter", "Refused requests and connections.", _by("reason", traffic.refused)),
    ]
    temperature = read_temperature_c()
    if temperature is not None:
        metrics.append(_metric("temperature_celsius", "gauge", "Processor temperature.", _one(temperature)))
    return "".join([*metrics, *([] if hub is None else _live_metrics(hub))])


def _live_metrics(hub: Hub) -> list[str]:
    result, live = hub.result, hub.state == "live"
    counters = (Counters() if result is None else result.counters).to_dict()
    fates = {fate: counters[fate] for fate in _FATES}
    metrics = [
        _metric("frames_captured_total", "counter", "Frames read from the source.", _one(counters["captured"])),
        _metric("frames_total", "counter", "Frames by outcome.", _by("fate", fates)),
        _metric("reconnects_total", "counter", "Times the source was reopened.", _one(counters["reconnects"])),
        _metric("inference_seconds_total", "counter", "Total inference time.", _one(hub.classified_s)),
        _metric("camera_up", "gauge", "1 while frames arrive, else 0.", _one(live)),
        _metric("events_total", "counter", "Events by kind.", _by("kind", hub.event_counts)),
        _metric("pictures_encoded_total", "counter", "Frames encoded as JPEG for viewers.", _one(hub.encoded)),
    ]
    if result is None:
        return metrics
    return [
        *metrics,
        _metric(
            "inference_seconds", "gauge", "Time of the last inference.", _one(result.prediction.inference_ms / 1000)
        ),
        _metric("frame_age_seconds", "gauge", "Age of the frame at its prediction.", _one(result.age_ms / 1000)),
        _metric("fps", "gauge", "Frames classified per second; 0 if none arrive.", _one(result.fps if live else 0)),
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
