"""Sinks of events take the kinds and classes that they are asked for, and one failure keeps nothing back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.errors import OutputError
from edge_runtime.sinks import Callback, EventSink, JsonLines
from edge_runtime.types import Event
from tests.support.results import CHANGED, ENTERED, GONE, LEFT, TIME, made_result


def test_a_callback_gets_each_event_in_order() -> None:
    got: list[Event] = []
    sink = Callback(got.append)
    assert sink.write(made_result(LEFT, ENTERED, CHANGED))
    assert got == [LEFT, ENTERED, CHANGED]


@pytest.mark.parametrize(
    ("kinds", "labels", "expected"),
    [
        ((), (), [LEFT, ENTERED, CHANGED, GONE]),
        (("entered", "left"), (), [LEFT, ENTERED]),
        ((), ("cat",), [ENTERED, CHANGED]),
        (("changed",), ("cat", "dog"), [CHANGED]),
        ("entered", "cat", [ENTERED]),
        ((), ("mouse",), []),
    ],
)
def test_kinds_and_labels_choose(kinds: tuple[str, ...], labels: tuple[str, ...], expected: list[Event]) -> None:
    got: list[Event] = []
    sink = Callback(got.append, kinds=kinds, labels=labels)  # type: ignore[arg-type]
    result = made_result(LEFT, ENTERED, CHANGED, GONE)
    assert sink.wants(result) == bool(expected)
    sink.write(result)
    assert got == expected


def test_results_without_events_or_without_decisions_are_nothing() -> None:
    got: list[Event] = []
    sink = Callback(got.append)
    for result in (made_result(), made_result(decided=False)):
        assert not sink.wants(result)
        assert sink.write(result)
    assert got == []


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Unknown kind of event 'appeared'\. Choose from entered, left, changed\."):
        Callback(print, kinds=("appeared",))  # type: ignore[arg-type]


def test_an_event_that_can_not_be_taken_does_not_keep_the_others_back() -> None:
    class Picky(EventSink):
        def __init__(self) -> None:
            super().__init__()
            self.taken: list[str] = []

        def send(self, event: Event) -> None:
            if event.kind == "left":
                raise OutputError("It doesn't like goodbyes.")
            self.taken.append(event.kind)

    sink = Picky()
    with pytest.raises(OutputError, match="goodbyes"):
        sink.write(made_result(LEFT, ENTERED, CHANGED))
    assert sink.taken == ["entered", "changed"]


def test_an_error_in_a_callback_comes_through() -> None:
    def fails(event: Event) -> None:
        raise ZeroDivisionError(event.label)

    with pytest.raises(ZeroDivisionError, match="cat"):
        Callback(fails).write(made_result(ENTERED))


def test_json_lines_can_be_of_events_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with JsonLines(path, events_only=True) as sink:
        assert not sink.wants(made_result())
        for result in (made_result(), made_result(decided=False), made_result(LEFT, ENTERED)):
            assert sink.write(result)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"kind": "left", "label": "dog", "previous": "dog", "score": 0.1, "time": round(TIME, 3), "lasted_s": 12.346},
        {"kind": "entered", "label": "cat", "previous": None, "score": 0.8765, "time": round(TIME, 3), "lasted_s": 0.0},
    ]


def test_a_line_of_a_frame_holds_the_same_events(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with JsonLines(path) as sink:
        sink.write(made_result(ENTERED))
    line = json.loads(path.read_text())
    assert line["decision"] == {"label": "cat", "score": 0.8765, "since": round(TIME, 3)}
    assert [event["kind"] for event in line["events"]] == ["entered"]
    assert line["events"][0]["score"] == 0.8765
